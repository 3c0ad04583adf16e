"""From a provider's offers to a quote: GPUs that are strong enough, ranked by what the planned lease costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from reelgraph.builder.clock import as_text, from_text
from reelgraph.builder.gpus import Found, find_gpu
from reelgraph.builder.money import Price, Terms, show_amount, terms_as_json, terms_from_json
from reelgraph.builder.provider import Offer
from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import validate

# An auction's price falls and its machines go; an order wants a quote of these minutes.
FRESH = timedelta(minutes=15)


@dataclass(frozen=True)
class Wanted:
    """What a machine must have, and for how long it is planned."""

    hours: Decimal
    memory_gb: int
    compute_capability: tuple[int, int]


@dataclass(frozen=True)
class Quote:
    """One offer with all parts of its price, as it was when it was fetched."""

    provider: str
    channel: str
    offer: str
    location: str | None
    name: str
    gpu: str
    gpu_model: str
    gpu_count: int
    gpu_line: str
    terms: Terms
    hours: Decimal
    fetched_at: datetime

    @property
    def total(self) -> Price:
        """What the planned lease costs."""
        return self.terms.total(self.hours)


@dataclass(frozen=True)
class Ranking:
    """Quotes, cheapest lease first; and what was left out and why, as people read it."""

    quotes: list[Quote]
    left_out: list[str]


def rank(provider: str, offers: list[Offer], wanted: Wanted, fetched_at: datetime) -> Ranking:
    """Keep the machines whose GPU is known and strong enough, then order them by the cost of the planned lease."""
    quotes: list[Quote] = []
    left_out: list[str] = []
    for offer in offers:
        found, unknown = find_gpu(offer.description)
        if found is None:
            left_out += [f"{offer.channel} {offer.id}: '{line}' is not in the GPU table" for line in unknown]
            continue
        if reason := _too_weak(found, wanted):
            left_out.append(f"{offer.channel} {offer.id}: {found.gpu.model} {reason}")
            continue
        quotes.append(
            Quote(
                provider=provider,
                channel=offer.channel,
                offer=offer.id,
                location=offer.location,
                name=offer.name,
                gpu=found.gpu.name,
                gpu_model=found.gpu.model,
                gpu_count=found.count,
                gpu_line=found.line,
                terms=offer.terms,
                hours=wanted.hours,
                fetched_at=fetched_at,
            )
        )
    quotes.sort(
        key=lambda quote: (
            quote.total.gross,
            quote.terms.hourly.gross,
            quote.channel,
            quote.offer,
            quote.location or "",
        )
    )
    return Ranking(quotes, sorted(set(left_out)))


def _too_weak(found: Found, wanted: Wanted) -> str | None:
    if found.gpu.memory_gb < wanted.memory_gb:
        return f"has {found.gpu.memory_gb} GB, less than {wanted.memory_gb}"
    if found.gpu.compute_capability < wanted.compute_capability:
        have, need = (".".join(map(str, pair)) for pair in (found.gpu.compute_capability, wanted.compute_capability))
        return f"has compute capability {have}, less than {need}"
    return None


def check_fresh(quote: Quote, now: datetime) -> None:
    """Raise a StageError unless the quote was fetched within the last minutes; a clock that went back is no better."""
    age = now - quote.fetched_at
    if not timedelta(0) <= age <= FRESH:
        minutes = int(FRESH.total_seconds() // 60)
        raise StageError(
            f"the quote for {quote.channel} {quote.offer} was fetched at {as_text(quote.fetched_at)}, it is "
            f"{as_text(now)}; only one of the last {minutes} minutes can be ordered, so run find-cheapest-gpu again"
        )


def check_unchanged(quote: Quote, offer: Offer | None) -> None:
    """Raise a StageError if the offer is gone, or is no longer what the quote says, in any part of price or GPU."""
    what = f"{quote.channel} {quote.offer}"
    if offer is None:
        raise StageError(f"{what} is no longer offered; run find-cheapest-gpu again")
    if offer.terms != quote.terms:
        raise StageError(
            f"{what} changed its price since it was quoted; run find-cheapest-gpu again and look at the new one"
        )
    if quote.gpu_line not in offer.description:
        raise StageError(f"{what} no longer says '{quote.gpu_line}'; run find-cheapest-gpu again")


def write_quote(path: Path, quote: Quote) -> None:
    """Write a quote file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, quote_as_json(quote))


def read_quote(path: Path) -> Quote:
    """Read a quote file, or raise a StageError that names it."""
    if not path.exists():
        how = f"reel builder find-cheapest-gpu --hours HOURS --output {path}"
        raise StageError(f"{path}: there is no quote; make one: {how}", status=3)
    value = read_json(path)
    validate(value, "builder-quote", path.name)
    return quote_from_json(value)


def quote_as_line(quote: Quote) -> str:
    """Return a quote as a line of a ranking."""
    terms, currency = quote.terms, quote.terms.currency
    return (
        f"{show_amount(quote.total.gross, currency):>14} for {quote.hours} h with tax  {quote.gpu_model} "
        f"x{quote.gpu_count}  {quote.channel} {quote.offer} {quote.location or ''}  "
        f"({show_amount(terms.hourly.gross, currency)}/h, setup {show_amount(terms.setup.gross, currency)})"
    )


def quote_as_json(quote: Quote) -> dict[str, Any]:
    """Return a quote as JSON, its total spelled out."""
    total = quote.total
    return {
        "provider": quote.provider,
        "channel": quote.channel,
        "offer": quote.offer,
        "location": quote.location,
        "name": quote.name,
        "gpu": quote.gpu,
        "gpu_model": quote.gpu_model,
        "gpu_count": quote.gpu_count,
        "gpu_line": quote.gpu_line,
        "terms": terms_as_json(quote.terms),
        "hours": str(quote.hours),
        "total": {"net": str(total.net), "gross": str(total.gross)},
        "fetched_at": as_text(quote.fetched_at),
    }


def quote_from_json(value: dict[str, Any]) -> Quote:
    """Return the quote of ``quote_as_json``; the total is worked out again, never believed."""
    return Quote(
        **{key: value[key] for key in ("provider", "channel", "offer", "location", "name")},
        **{key: value[key] for key in ("gpu", "gpu_model", "gpu_count", "gpu_line")},
        terms=terms_from_json(value["terms"]),
        hours=Decimal(value["hours"]),
        fetched_at=from_text(value["fetched_at"]),
    )
