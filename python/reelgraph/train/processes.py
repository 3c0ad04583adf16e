"""Several GPUs of one machine on one plan: the same bytes as one GPU gives, whatever their number.

The micro steps of an optimiser step are dealt out in rounds, one to each process. After a round every process holds
every gradient and adds them in the order of the plan, so no sum depends on who computed what.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch.distributed import TCPStore
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from reelgraph.errors import StageError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together; ``accelerator`` is None when it is alone."""

    accelerator: Accelerator | None = None

    @property
    def rank(self) -> int:
        """Return this process's number, from 0."""
        return self.accelerator.process_index if self.accelerator else 0

    @property
    def count(self) -> int:
        """Return how many processes train together."""
        return self.accelerator.num_processes if self.accelerator else 1

    def rounds(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        """Return ``items`` in groups of at most one for each process."""
        return [items[start : start + self.count] for start in range(0, len(items), self.count)]

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the items that this process computes."""
        return items[self.rank :: self.count]

    def add_up(
        self,
        parameters: Sequence[torch.nn.Parameter],
        sums: list[torch.Tensor] | None,
        loss: torch.Tensor | None,
        active: int,
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Add the gradients of a round to the sums; return these and the round's losses.

        The first ``active`` processes have computed something; the others pass None as loss.
        """
        assert self.accelerator is not None
        sizes = [parameter.numel() for parameter in parameters]
        if loss is None:
            own = torch.zeros(1 + sum(sizes), device=parameters[0].device)
        else:
            own = torch.cat([loss.detach().view(1), *(parameter.grad.flatten() for parameter in parameters)])
        everyone = self.accelerator.gather(own).view(self.count, -1)[:active]
        for row in everyone:
            gradients = [
                part.view_as(parameter) for part, parameter in zip(row[1:].split(sizes), parameters, strict=True)
            ]
            sums = gradients if sums is None else [a + b for a, b in zip(sums, gradients, strict=True)]
        return sums or [], list(everyone[:, 0])


def run_together(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run ``work(processes, *arguments)`` in ``count`` processes of this machine; its StageError is raised here."""
    if count == 1:
        work(Processes(), *arguments)
        return
    # They meet here, at a port that is held from its choice to the end: a free one might be another's by then.
    meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with TemporaryDirectory() as folder:
        try:
            spawn(_member, (count, meeting.port, folder, work, arguments), nprocs=count)
        except (ProcessRaisedException, ProcessExitedException) as error:
            told = sorted(Path(folder).iterdir())
            raise StageError(
                told[0].read_text(encoding="utf-8") if told else f"a process of several failed: {error}"
            ) from None


def _member(rank: int, count: int, port: int, folder: str, work: Callable[..., None], arguments: Sequence[Any]) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    try:
        work(Processes(accelerator), *arguments)
    except StageError as error:
        (Path(folder) / str(rank)).write_text(str(error), encoding="utf-8")
        sys.exit(error.status)
    finally:
        accelerator.end_training()
