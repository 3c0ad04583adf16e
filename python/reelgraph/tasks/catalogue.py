"""The list of tasks as nix/tasks.nix has it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import TopologicalSorter
from typing import Any

from reelgraph.errors import StageError
from reelgraph.graph.evaluate import Checkout
from reelgraph.graph.refusals import nix_complaint
from reelgraph.stage import validate

LIST = "nix/tasks.nix"


@dataclass(frozen=True)
class Input:
    """What a task can be told; without ``default`` it must be."""

    description: str
    default: str | None


@dataclass(frozen=True)
class Task:
    """A task: it builds ``stages`` of a pipeline or runs commands of reel, after others."""

    name: str
    description: str
    stages: tuple[str, ...]
    run: tuple[tuple[str, ...], ...]
    inputs: Mapping[str, Input]
    after: tuple[str, ...]
    needs: tuple[str, ...]
    answers: tuple[str, ...]

    def values(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the inputs' values, those not given by default; raise a StageError that names a missing one."""
        values = {}
        for name, known in self.inputs.items():
            value = given.get(name, known.default)
            if value is None:
                raise StageError(f"{self.name}: give {name} ({known.description}): --input {name}=…", status=2)
            values[name] = value
        return values

    def commands(self, values: Mapping[str, str], further: Sequence[str] = ()) -> list[list[str]]:
        """Return the commands with inputs filled in, an empty one left out, and ``further`` arguments on the last."""
        filled = [[argument.format_map(values) for argument in command] for command in self.run]
        commands = [[argument for argument in command if argument] for command in filled]
        commands[-1] += further
        return commands


def read_tasks(checkout: Checkout) -> dict[str, Task]:
    """Return the tasks of a checkout by name."""
    command = ["nix-instantiate", "--eval", "--json", "--strict", str(checkout.root / LIST)]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, check=False, env=checkout.environment)
    except FileNotFoundError as error:
        raise StageError(
            f"{LIST} cannot be read without Nix: run ./nixw once, which installs it or says how", status=3
        ) from error
    if finished.returncode:
        raise StageError(f"{LIST}: cannot be evaluated\n{nix_complaint(finished.stderr)}")
    listed = json.loads(finished.stdout)
    validate(listed, "tasks", LIST)
    return {name: _task(name, fields) for name, fields in listed.items()}


def _task(name: str, fields: Mapping[str, Any]) -> Task:
    return Task(
        name=name,
        description=fields["description"],
        stages=tuple(fields["stages"]),
        run=tuple(map(tuple, fields["run"])),
        inputs={key: Input(**value) for key, value in fields["inputs"].items()},
        after=tuple(fields["after"]),
        needs=tuple(fields["needs"]),
        answers=tuple(fields["answers"]),
    )


def find_task(tasks: Mapping[str, Task], name: str) -> Task:
    """Return a task, or raise a StageError that names those which are meant instead."""
    if name in tasks:
        return tasks[name]
    below = [other for other in tasks if other.startswith(f"{name.removesuffix(':')}:")]
    like = below or get_close_matches(name, tasks, n=3, cutoff=0.5)
    meant = f"; did you mean {', '.join(like)}?" if like else "; all of them: reel task"
    raise StageError(f"there is no task '{name}'{meant}", status=2)


def upstream(tasks: Mapping[str, Task], name: str) -> list[Task]:
    """Return a task with all that run before it, in an order in which they can run; the named one comes last."""
    needed: dict[str, tuple[str, ...]] = {}
    pending = [name]
    while pending:
        task = tasks[pending.pop()]
        if task.name not in needed:
            needed[task.name] = task.after
            pending += task.after
    sorter = TopologicalSorter(needed)
    sorter.prepare()
    order, ready = [], []
    while sorter.is_active():
        ready += sorter.get_ready()
        # Names follow the runbook's order.
        ready.sort()
        order.append(tasks[ready[0]])
        sorter.done(ready.pop(0))
    return order


def check_inputs(tasks: Sequence[Task], given: Mapping[str, str]) -> None:
    """Raise a StageError if an input is given that none of the tasks has."""
    known = sorted({name for task in tasks for name in task.inputs})
    for name in given:
        if name not in known:
            raise StageError(
                f"{tasks[-1].name}: has no input '{name}'; there is {', '.join(known) or 'none'}", status=2
            )


def answering(tasks: Mapping[str, Task], sentence: str, failed: str) -> Task | None:
    """Return the task that mends what a failed task said, if the list knows one."""
    for task in tasks.values():
        if task.name != failed and any(re.search(pattern, sentence) for pattern in task.answers):
            return task
    return None


def table(tasks: Mapping[str, Task]) -> str:
    """Return the list as a Markdown table, as docs/runbook.md has it."""
    lines = ["| task | what it does | inputs | may need | after |", "|---|---|---|---|---|"]
    for task in tasks.values():
        inputs = ", ".join(
            f"`{name}`" if known.default is None else f"`{name}={known.default}`"
            for name, known in task.inputs.items()
            if name != "pipeline"
        )
        after = ", ".join(f"`{name}`" for name in task.after)
        lines.append(f"| `{task.name}` | {task.description} | {inputs} | {', '.join(task.needs)} | {after} |")
    return "\n".join(lines) + "\n"
