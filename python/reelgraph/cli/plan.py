"""Say what building a target would do."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from reelgraph.cli import STORE
from reelgraph.errors import StageError


@click.command(name="plan")
@click.argument("target")
@click.option(
    "--against", metavar="REV|RESULT", help="Compare with a git revision or a finished result, not with the last build."
)
@click.option("--price", metavar="AMOUNT", help="Price of an hour on a builder; without it that of the open lease.")
@click.option("--currency", default="EUR", show_default=True, help="Currency of --price.")
@click.option(
    "--step-seconds", type=click.FloatRange(min=0), help="Seconds of a training step, where no segment was ever built."
)
@click.option(
    "--all", "every", is_flag=True, help="One line a stage: built ones too, and episodes alike each by itself."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON (schemas/reel-plan.json).")
@STORE
def command(
    target: str,
    against: str | None,
    price: str | None,
    currency: str,
    step_seconds: float | None,
    every: bool,
    as_json: bool,
    store: Path,
) -> None:
    """Say what building TARGET would build, where, why, how long it takes and what it costs; nothing is built.

    A stage is built, to build, or unknown until its inputs are built: if these come out as before, it is cut off.
    "perhaps" marks the unknown ones.

    Example: reel plan wan22-smoke --against HEAD~1
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.graph.lines import plan_lines
    from reelgraph.graph.plan import make_plan, plan_json
    from reelgraph.graph.prices import Price, lease_price
    from reelgraph.graph.store import Store

    hourly = Price(_amount(price), currency, "--price") if price is not None else lease_price()
    plan = make_plan(
        find_checkout(),
        target,
        store=Store(store),
        against=against,
        price=hourly,
        step_seconds=step_seconds,
    )
    print(json.dumps(plan_json(plan), indent=2) if as_json else "\n".join(plan_lines(plan, every)))


def _amount(text: str) -> Decimal:
    """Return an amount of money, or raise a StageError where ``text`` is none."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise StageError(f"--price {text}: is no amount; give one such as 1.84", status=2)
    return amount
