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
