"""The companies that machines can be rented from: every module here with a ``connect`` is one."""

from __future__ import annotations

import importlib
import pkgutil

from reelgraph.builder.provider import Connect
from reelgraph.errors import StageError


def provider_names() -> list[str]:
    """Return the names that ``--provider`` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_provider(name: str) -> Connect:
    """Return the ``connect`` function of a provider."""
    if name not in provider_names():
        raise StageError(f"provider '{name}' is unknown; there is {', '.join(provider_names())}", status=2)
    return importlib.import_module(f"{__name__}.{name}").connect
