"""Model weights: locked like wheels, fetched or brought in by hand, and used only where their licence lets us."""

import os

# Read once, when the hub's client is imported: without it the client asks the hub for more than we ask it for.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
