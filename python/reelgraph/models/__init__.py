"""Model weights: locked like wheels, fetched or brought in by hand, and used only where their licence lets us."""
