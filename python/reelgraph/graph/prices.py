"""What an hour on a builder costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Price:
    """The price of an hour, taxes and all, and where it is known from."""

    hourly: Decimal
    currency: str
    source: str

    def cost(self, seconds: float) -> Decimal:
        """Return what ``seconds`` cost, rounded up to a cent."""
        return (self.hourly * Decimal(str(seconds)) / 3600).quantize(CENT, ROUND_UP)


def lease_price() -> Price | None:
    """Return the price of the open lease, the dearest if there are several, or None without one."""
    from reelgraph.builder.clock import Clock
    from reelgraph.builder.journal import Journal
    from reelgraph.builder.lease import fold
    from reelgraph.builder.office import state_folder

    folder = state_folder()
    # Opening a journal makes its folder; a plan makes nothing.
    if not folder.is_dir():
        return None
    leases = [lease for lease in fold(Journal(folder, Clock()).entries()).values() if lease.is_open and lease.quote]
    prices = [
        Price(lease.quote.terms.hourly.gross, lease.quote.terms.currency, f"lease {lease.id}")
        for lease in leases
        if lease.quote
    ]
    return max(prices, key=lambda price: price.hourly, default=None)
