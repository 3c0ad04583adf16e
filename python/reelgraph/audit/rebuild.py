"""The derivations of a second build: the same stage on the same contents, started under other circumstances."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reelgraph.errors import StageError
from reelgraph.graph.derivation import Derivation
from reelgraph.graph.evaluate import Checkout, code_path
from reelgraph.graph.refusals import nix_complaint

HERE = Path(__file__).parent
VARIATIONS = ("host name", "directory order", "memory addresses", "thread switching", "number of processors")
# Which instruction sets the numeric libraries may use; see reelgraph.determinism.
CPU_PINS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "OPENBLAS_CORETYPE", "CT2_FORCE_CPU_ISA")


@dataclass(frozen=True)
class Circumstances:
    """What the second build does differently: VARIATIONS; without ``cpu_pins`` all that the CPU can do."""

    varied: bool = True
    cpu_pins: bool = True

    def of(self, derivation: Derivation) -> Derivation:
        """Return a stage's derivation under these circumstances."""
        text = ""
        if not self.cpu_pins:
            text += f"import sys; sys.path.insert(0, {code_path(derivation)!r})\n"
            text += "from reelgraph.determinism import FIXED_ENVIRONMENT as fixed\n"
            text += f"for name in {CPU_PINS!r}: fixed.pop(name, None)\n"
        if self.varied:
            text = f"{(HERE / 'variation.py').read_text()}\nvary()\n{text}"
        # The first argument but one is the stage's own start, which stays as it is.
        option, start, *rest = derivation.arguments
        return dataclasses.replace(derivation, arguments=(option, text + start, *rest)) if text else derivation


def instantiate(checkout: Checkout, derivations: Mapping[str, Derivation]) -> dict[str, str]:
    """Have Nix write resolved derivations into the store; return their paths by name."""
    specification = [
        {"attributes": derivation.attributes, "arguments": derivation.arguments, "sources": derivation.sources}
        for derivation in derivations.values()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(specification, file)
        file.flush()
        expression = f"import {HERE}/rebuild.nix {{ specification = {file.name}; }}"
        finished = checkout.nix("eval", "--impure", "--json", "--expr", expression)
    if finished.returncode:
        raise StageError(f"the second build's derivations cannot be made: {nix_complaint(finished.stderr)}", status=3)
    paths = json.loads(finished.stdout)
    _check(derivations, paths)
    return dict(zip(derivations, paths, strict=True))


def _check(derivations: Mapping[str, Derivation], paths: Sequence[str]) -> None:
    for (name, derivation), path in zip(derivations.items(), paths, strict=True):
        if derivation.path(derivation.attributes["name"]) != path:
            raise StageError(
                f"{name}: Nix makes another derivation of it than the first build's ({path}); evaluate again", status=3
            )
