"""Running a task after those before it: what runs, what is skipped and why, and which task mends a failure."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from typing import Any

import click

from reelgraph.errors import StageError
from reelgraph.graph.builders import NOWHERE
from reelgraph.graph.evaluate import Checkout
from reelgraph.graph.plan import Plan, StagePlan, make_plan
from reelgraph.graph.refusals import own_sentence
from reelgraph.graph.state import State
from reelgraph.graph.words import agree, some
from reelgraph.tasks.catalogue import Task, answering
from reelgraph.tasks.narrowed import FIND, Narrowed, NoStage

RUN, SKIP, STOP = "run", "skip", "stop"
# Links that keep results from garbage collection.
RESULTS = "result-tasks"
_MOST_NAMED = 2
_PATHS = """pipeline: builtins.listToAttrs (
  map (found: { name = "${found.stage.set}/${found.stage.stage}"; value = found.path; }) ((%s) pipeline)
)"""


@dataclass(frozen=True)
class Step:
    """What one task would do, and why; ``commands`` are those that would run, as arguments."""

    task: Task
    action: str
    why: str
    commands: tuple[tuple[str, ...], ...] = ()
    outputs: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the step as ``reel task --dry-run --json`` has it."""
        return {
            "task": self.task.name,
            "action": self.action,
            "why": self.why,
            "commands": [list(command) for command in self.commands],
        }


class Runner:
    """Runs a task's steps; ``given`` are inputs, ``further`` goes to the named task's last command."""

    def __init__(
        self, checkout: Checkout, tasks: Mapping[str, Task], given: Mapping[str, str], further: Sequence[str] = ()
    ) -> None:
        self._checkout, self._tasks, self._given, self._further = checkout, tasks, given, further
        self._plan: Plan | None = None

    def steps(self, order: Sequence[Task]) -> Iterator[Step]:
        """Yield what each task would do, as things stand when it is asked for; nothing runs."""
        named = order[-1]
        if self._further and named.stages:
            raise StageError(
                f"{named.name}: builds stages and takes no further arguments ({shlex.join(self._further)})", status=2
            )
        values = {task.name: task.values(self._given) for task in order}
        for task in order:
            if task.stages:
                yield self._build_step(task, named, values[named.name])
            else:
                commands = task.commands(values[task.name], self._further if task is named else ())
                yield Step(
                    task,
                    RUN,
                    "asked for" if task is named else f"{named.name} comes after it",
                    tuple(("reel", *command) for command in commands),
                )

    def is_done(self, task: Task) -> bool:
        """Return whether nothing is left of a task; nothing is where the pipeline leaves its stages out.

        devenv asks that of every task before the one that is wanted, LTX-2's too where Wan2.2 alone is trained.
        """
        try:
            return all(step.action == SKIP for step in self.steps([task]))
        except NoStage:
            return True

    def run(self, order: Sequence[Task]) -> int:
        """Run the steps, say what is skipped, and return the exit status of the first that failed, or 0."""
        for step in self.steps(order):
            name = step.task.name
            if step.action == STOP:
                raise self._failure(step.task, step.why, 3)
            if step.action == SKIP:
                _say(f"{name}: skipped, {step.why}")
            else:
                _say(f"{name}: {step.why}")
                start = time.monotonic()
                if status := self._run(step):
                    _say(f"{name}: failed with exit status {status}")
                    return status
                _say(f"{name}: done in {time.monotonic() - start:.0f} s")
        return 0

    def outputs(self, task: Task) -> list[str]:
        """Return the store paths of what a task builds, as far as they are built."""
        if not task.stages:
            return []
        self._plan = None
        stages = self._stages(task, task, task.values(self._given))
        return [stage.output for stage in stages if stage.output]

    def _stages(self, task: Task, named: Task, values: Mapping[str, str]) -> list[StagePlan]:
        """Return a task's stages in the plan of what the named task needs."""
        if self._plan is None:
            try:
                self._plan = make_plan(
                    Narrowed(self._checkout.root, self._checkout.nix_folder, named.stages),
                    values["pipeline"],
                    reasons=False,
                )
            except NoStage as error:
                raise NoStage(values["pipeline"], named.stages, named.name) from error
            except StageError as error:
                raise self._failure(named, str(error), error.status) from error
        stages = [stage for stage in self._plan.stages.values() if stage.stage in task.stages]
        # Those that another trainer's task lists too are that trainer's where nothing is this one's alone.
        elsewhere = {stage for other in self._tasks.values() if other.name != task.name for stage in other.stages}
        own = [stage for stage in task.stages if stage not in elsewhere]
        if any(stage.stage in own for stage in stages):
            return stages
        if task is named:
            raise NoStage(values["pipeline"], own, task.name)
        return []

    def _build_step(self, task: Task, named: Task, values: Mapping[str, str]) -> Step:
        stages = self._stages(task, named, values)
        pipeline = values["pipeline"]
        pending = [stage for stage in stages if stage.state != State.BUILT]
        outputs = tuple(stage.output for stage in stages if stage.output)
        if not stages:
            return Step(task, SKIP, f"pipeline {pipeline} needs none of its stages")
        if not pending:
            return Step(
                task,
                SKIP,
                f"{_count(len(stages))} of pipeline {pipeline} {agree(len(stages), 'is')} built",
                outputs=outputs,
            )
        if stuck := [stage.name for stage in pending if stage.where == NOWHERE]:
            names = f"{some(stuck, _MOST_NAMED)} {agree(len(stuck), 'needs')}"
            return Step(task, STOP, f"{names} a builder with a GPU, and none is registered")
        # All that have a name, so that the links keep them; a master that is only compared has none of its own.
        paths = self._checkout.evaluate(f".#{pipeline}", _PATHS % FIND.read_text())
        attributes = [f".#{pipeline}.{_attribute(paths[stage.name])}" for stage in stages if stage.name in paths]
        link = f"{RESULTS}/{pipeline}-{task.name.replace(':', '-')}"
        names = some([stage.name for stage in pending], _MOST_NAMED)
        why = f"building {len(pending)} of {_count(len(stages))} of pipeline {pipeline}: {names}"
        return Step(task, RUN, why, (("./nixw", "build", "-o", link, *attributes),), outputs)

    def _run(self, step: Step) -> int:
        for program, *arguments in step.commands:
            try:
                status = self._build(arguments) if program == "./nixw" else call_reel(arguments)
            except StageError as error:
                raise self._failure(step.task, str(error), error.status) from error
            if status:
                return status
        return 0

    def _build(self, arguments: Sequence[str]) -> int:
        """Build, showing the log as it comes; raise a StageError with what the failed stage or the builder said."""
        from reelgraph.builder.machines import Registry
        from reelgraph.builder.nix import last_line, nixw
        from reelgraph.builder.office import state_folder
        from reelgraph.builder.offload import explain_log

        self._plan = None
        (self._checkout.root / RESULTS).mkdir(exist_ok=True)
        with chdir(self._checkout.root):
            finished = nixw(arguments)
            if not finished.status:
                return 0
            builders = list(Registry(state_folder()).builders().values())
            said = own_sentence(finished.log)
            reason = explain_log(finished.log, builders) or (last_line(said) if said == finished.log else said)
        raise StageError(reason, finished.status)

    def _failure(self, task: Task, sentence: str, status: int) -> StageError:
        """Return the error of a failed task, with the task that mends it."""
        answer = answering(self._tasks, sentence, task.name)
        named = "" if sentence.startswith(f"{task.name}: ") else f"{task.name}: "
        return StageError(f"{named}{sentence}{f'; run: reel task {answer.name}' if answer else ''}", status)


def call_reel(arguments: Sequence[str]) -> int:
    """Run a command of reel in this process and return its exit status; a StageError passes through."""
    from reelgraph.cli import wrong_use
    from reelgraph.cli.main import main

    name, *rest = arguments
    command = main.get_command(click.Context(main), name)
    try:
        returned = command.main(args=rest, prog_name=f"reel {name}", standalone_mode=False)
    except click.UsageError as error:
        _say(wrong_use(error))
        return error.exit_code
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return returned if isinstance(returned, int) else 0


def _attribute(path: Sequence[str]) -> str:
    """Return an attribute path as Nix reads it."""
    return ".".join(name if re.fullmatch(r"[\w-]+", name) else f'"{name}"' for name in path)


def _say(line: str) -> None:
    print(f"reel: {line}", file=sys.stderr, flush=True)


def _count(stages: int) -> str:
    return f"{stages} stage{'' if stages == 1 else 's'}"
