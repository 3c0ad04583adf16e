"""Where Nix would build a stage: this machine, a builder that it is configured for, or nowhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reelgraph.errors import StageError
from reelgraph.graph.evaluate import Checkout

LOCAL, NOWHERE = "local", "nowhere"
# What every content-addressed derivation asks of a builder besides its own features.
CONTENT_ADDRESSED = "ca-derivations"


@dataclass(frozen=True)
class Builder:
    """One line of Nix's list of machines."""

    uri: str
    systems: frozenset[str]
    speed: float
    supported: frozenset[str]
    mandatory: frozenset[str]

    def takes(self, system: str, features: frozenset[str]) -> bool:
        """Whether Nix sends a content-addressed derivation there."""
        offered = self.supported | self.mandatory
        return (
            system in self.systems
            and {*features, CONTENT_ADDRESSED} <= offered
            and self.mandatory <= {*features, CONTENT_ADDRESSED}
        )


@dataclass(frozen=True)
class Machines:
    """This machine's features and systems, whether it builds at all, and the builders that it knows."""

    systems: frozenset[str]
    features: frozenset[str]
    builds_here: bool
    builders: Sequence[Builder]

    def where(self, system: str, features: frozenset[str]) -> str:
        """Return ``local``, a builder's URI, or ``nowhere``."""
        if self.builds_here and system in self.systems and features <= self.features:
            return LOCAL
        fitting = [builder for builder in self.builders if builder.takes(system, features)]
        return max(fitting, key=lambda builder: builder.speed).uri if fitting else NOWHERE


def read_machines(checkout: Checkout) -> Machines:
    """Return what Nix is configured for, as ./nixw calls it."""
    for command in (("config", "show"), ("show-config",)):
        finished = checkout.nix(*command, "--json")
        if finished.returncode == 0:
            break
    else:
        raise StageError(f"nix config show: {finished.stderr.strip()}", status=3)
    settings = {name: setting["value"] for name, setting in json.loads(finished.stdout).items()}
    return Machines(
        systems=frozenset({settings["system"], *settings["extra-platforms"]}),
        features=frozenset(settings["system-features"]),
        builds_here=settings["max-jobs"] > 0,
        builders=parse_machines(settings["builders"]),
    )


def parse_machines(text: str) -> list[Builder]:
    """Return the builders of Nix's ``builders`` setting; ``@FILE`` names a file of lines, which may be absent."""
    builders: list[Builder] = []
    for line in text.replace(";", "\n").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("@"):
            file = Path(line[1:])
            builders += parse_machines(file.read_text()) if file.is_file() else []
        elif line:
            uri, systems, _key, _jobs, speed, supported, mandatory = (*line.split(), *["-"] * 7)[:7]
            builders.append(
                Builder(
                    uri=uri,
                    systems=_split(systems) or frozenset({"x86_64-linux"}),
                    speed=float(speed) if speed != "-" else 1.0,
                    supported=_split(supported),
                    mandatory=_split(mandatory),
                )
            )
    return builders


def _split(field: str) -> frozenset[str]:
    return frozenset() if field == "-" else frozenset(filter(None, field.split(",")))
