"""Run the runbook's tasks."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from reelgraph.errors import StageError

if TYPE_CHECKING:
    from reelgraph.tasks.run import Step


def complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the tasks that begin with what was typed, for the shell's completion."""
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.tasks.catalogue import read_tasks

    return [name for name in read_tasks(find_checkout()) if name.startswith(incomplete)]


@click.command(name="task")
@click.argument("name", required=False, shell_complete=complete_name)
@click.argument("further", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS]")
@click.option(
    "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="Tell the task something, for example pipeline=film."
)
@click.option("--only", is_flag=True, help="Without the tasks before it.")
@click.option("--dry-run", is_flag=True, help="Say what would run and what would be skipped, and run nothing.")
@click.option("--is-done", is_flag=True, help="Exit status 0 if there is nothing left for it to do, 1 if there is.")
@click.option("--table", "as_table", is_flag=True, help="Print the list as the table of docs/runbook.md.")
@click.option("--json", "as_json", is_flag=True, help="Print the list, or with --dry-run the steps, as JSON.")
def command(
    name: str | None,
    further: tuple[str, ...],
    inputs: tuple[str, ...],
    only: bool,
    dry_run: bool,
    is_done: bool,
    as_table: bool,
    as_json: bool,
) -> None:
    """Run task NAME of nix/tasks.nix after those before it; without NAME list them.

    Stages that are built are skipped. The store paths of what it builds go to standard output.

    \b
    Example: reel task train:step1-clips --input pipeline=smoke
             reel task builder:server:order:execute-cheapest -- --real …
    """
    from reelgraph.cli.renting.common import remind_of_open_leases
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.tasks.catalogue import check_inputs, find_task, read_tasks, table, upstream
    from reelgraph.tasks.run import Runner

    checkout = find_checkout()
    tasks = read_tasks(checkout)
    if name is None:
        if as_json:
            print(json.dumps({task.name: asdict(task) for task in tasks.values()}, indent=2))
        else:
            width = max(map(len, tasks))
            print(
                table(tasks)
                if as_table
                else "\n".join(f"{task.name:{width}}  {task.description}" for task in tasks.values())
            )
        return
    task = find_task(tasks, name)
    order = [task] if only or is_done else upstream(tasks, name)
    given = _given(inputs)
    check_inputs(order, given)
    if as_json and not dry_run:
        raise StageError("--json goes with --dry-run, or with the list", status=2)
    runner = Runner(checkout, tasks, {**_from_devenv(), **given}, further)
    if is_done:
        raise SystemExit(0 if runner.is_done(task) else 1)
    if dry_run:
        _show(list(runner.steps(order)), as_json)
        return
    status = runner.run(order)
    remind_of_open_leases()
    if not status:
        print("\n".join(runner.outputs(task)), end="\n" if task.stages else "")
    raise SystemExit(status)


def _show(steps: Sequence[Step], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"task": steps[-1].task.name, "steps": [step.as_json() for step in steps]}, indent=2))
        return
    for step in steps:
        print(f"{step.action:4}  {step.task.name}: {step.why}")
        for line in step.commands:
            print(f"        {shlex.join(line)}")


def _given(pairs: Sequence[str]) -> dict[str, str]:
    given = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise StageError(f"--input {pair}: expected KEY=VALUE", status=2)
        given[key] = value
    return given


def _from_devenv() -> dict[str, str]:
    """Return the inputs that `devenv tasks run --input` gave, which arrive as JSON in the environment."""
    text = os.environ.get("DEVENV_TASK_INPUT", "")
    try:
        values = json.loads(text or "{}")
    except ValueError as error:
        raise StageError(f"DEVENV_TASK_INPUT: is not JSON ({error})", status=2) from error
    return {key: str(value) for key, value in values.items() if value is not None}
