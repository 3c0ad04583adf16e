"""The graph of a target as Nix evaluates it, read-only: nothing is built and the store is not written to."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reelgraph.errors import StageError
from reelgraph.graph.derivation import PLACEHOLDER, Derivation, Output, placeholder
from reelgraph.graph.kept import evaluate_once
from reelgraph.graph.refusals import nix_complaint, refusal

DESCRIBE = Path(__file__).with_name("describe.nix")
_OUTPUTS = {"out": Output("", "r:sha256", "")}
# What stands for the output's own path in every content-addressed derivation.
_OUT = "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"
_CODE = re.compile(r"sys\.path\.insert\(0, '(/nix/store/[^']+)'\)")


@dataclass(frozen=True)
class Stage:
    """A stage as evaluated; ``edges`` are its inputs as readers know them, ``works`` the licensed works it reaches,
    ``input_works`` those in each input that no stage makes.

    ``features`` is what a builder must offer, such as ``cuda``; ``upstream_drvs`` has the names of the stages that it
    reads by derivation.
    """

    name: str
    set: str
    stage: str
    kind: str
    environment: str
    edges: Mapping[str, Any]
    works: tuple[str, ...]
    input_works: Mapping[str, Sequence[str]]
    drv: str
    derivation: Derivation
    features: frozenset[str]
    upstream_drvs: Mapping[str, str]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The derivation's own attributes."""
        return self.derivation.attributes

    @property
    def build_name(self) -> str:
        """The derivation's name, which mkStage gives."""
        return f"reel-{self.set}-{self.stage}"

    @property
    def parameters(self) -> dict[str, Any]:
        """The stage's parameters."""
        return self.attributes["parameters"]

    @property
    def code(self) -> str:
        """Store path of the stage's own code."""
        return code_path(self.derivation)

    @cached_property
    def input_stages(self) -> dict[str, str | None]:
        """What each input comes from, ``clips.episode-1`` for one of several: a stage's name, or None for a file."""
        upstream = {placeholder(drv, "out"): name for drv, name in self.upstream_drvs.items()}
        sources = {}
        for label, value in flat_inputs(self.attributes["inputs"]).items():
            match = PLACEHOLDER.match(value)
            sources[label] = upstream.get(match.group()) if match else None
        return sources


@dataclass(frozen=True)
class Graph:
    """The stages that a target needs, in an order in which they can be built.

    ``ends`` are the names of those that the target is, ``installable`` where it came from.
    """

    target: str
    installable: str
    ends: tuple[str, ...]
    stages: Mapping[str, Stage]

    @cached_property
    def episodes(self) -> frozenset[str]:
        """The sets that are episodes: those with a master, which is what the stage ``source`` looks at."""
        return frozenset(stage.set for stage in self.stages.values() if stage.stage == "source")

    @property
    def dataset(self) -> str:
        """The set of the stages that are made once, as far as they have one name."""
        sets = Counter(stage.set for stage in self.stages.values() if stage.set not in self.episodes)
        return sets.most_common(1)[0][0] if sets else ""

    @cached_property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """The names of the stages whose outputs each stage reads."""
        return {name: tuple(sorted(set(stage.upstream_drvs.values()))) for name, stage in self.stages.items()}


@dataclass(frozen=True)
class Checkout:
    """A checkout of Reelgraph: where nixw is, and the folder of the Nix to use if not the first on PATH."""

    root: Path
    nix_folder: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which nixw finds the wanted Nix."""
        path = os.environ.get("PATH", os.defpath)
        return {**os.environ, "PATH": f"{self.nix_folder}:{path}" if self.nix_folder else path}

    def nix(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ./nixw with ``arguments`` and return how it ended."""
        command = [str(self.root / "nixw"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.root, env=self.environment)

    def show_nix(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ./nixw with ``arguments``, its log shown on standard error as it comes."""
        command = [str(self.root / "nixw"), *map(str, arguments)]
        return subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=False, cwd=self.root, env=self.environment
        )

    @cached_property
    def nix_version(self) -> tuple[int, ...]:
        """The version of Nix, for example (2, 26, 3)."""
        finished = self.nix("--version")
        found = re.search(r"(\d+(?:\.\d+)+)", finished.stdout)
        if not found:
            raise StageError(f"nix --version: {finished.stderr.strip() or 'printed no version'}", status=3)
        return tuple(map(int, found.group(1).split(".")))

    def outputs_of(self, derivation: str) -> str:
        """Return the installable that builds a .drv file's outputs; Nix took the file itself for that before 2.15."""
        return f"{derivation}^*" if self.nix_version >= (2, 15) else derivation

    def question(self, function: str) -> str:
        """Return the Nix function that ``evaluate`` applies in order to answer ``function``."""
        return function

    def evaluate(self, installable: str, function: str, *options: str) -> Any:
        """Return the JSON of a Nix function of an installable, or raise a StageError with what Nix said."""
        finished = self.nix("eval", "--json", *options, installable, "--apply", self.question(function))
        if finished.returncode:
            complaint = StageError(f"{installable}: cannot be evaluated\n{nix_complaint(finished.stderr)}")
            raise refusal(self.root, installable, finished.stderr) or complaint
        return json.loads(finished.stdout)

    def git(self, *arguments: str) -> str:
        """Return what git prints, or raise a StageError with its complaint."""
        try:
            finished = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=self.root)
        except FileNotFoundError as error:
            raise StageError("git is not installed; install it and run this again", status=3) from error
        if "not a git repository" in finished.stderr:
            raise StageError(f"{self.root}: is no git checkout; clone the project to compare revisions", status=3)
        if finished.returncode:
            raise StageError(f"git {arguments[0]}: {finished.stderr.strip() or 'failed'}", status=2)
        return finished.stdout.strip()

    def flake_at(self, revision: str) -> str:
        """Return the flake reference of this checkout at a git revision."""
        is_shallow = self.git("rev-parse", "--is-shallow-repository") == "true"
        try:
            commit = self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except StageError as error:
            said = f"git knows no revision '{revision}' in {self.root}, and it is no path either"
            if is_shallow:
                said += "; this clone is shallow: fetch its older revisions with git fetch --unshallow"
            raise StageError(said, status=3 if is_shallow else 2) from error
        # Else Nix refuses a shallow clone even where the revision is there.
        return f"git+file://{quote(self.git('rev-parse', '--show-toplevel'))}?rev={commit}&shallow=1"


def find_checkout(start: Path | None = None) -> Checkout:
    """Return the checkout around a directory, or raise a StageError that says where to go."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "nixw").is_file() and (folder / "flake.nix").is_file():
            return Checkout(folder)
    raise StageError(f"{here}: is in no checkout of Reelgraph (nixw and flake.nix); change into one", status=2)


def load_graph(checkout: Checkout, target: str, flake: str | None = None) -> Graph:
    """Evaluate ``[FLAKE#]target`` and return the stages that it needs; raise a StageError that names what is wrong."""
    reference, _, attribute = target.rpartition("#")
    if not attribute:
        raise StageError("the target is empty; name one, for example wan22-smoke or smoke.checkpoint", status=2)
    installable = f"{flake or reference or '.'}#{attribute}"
    # Read-only: a thousand episodes' derivations take seconds to write and are not needed to know what they are.
    described = evaluate_once(checkout, flake or reference or ".", attribute, f"({DESCRIBE.read_text()}) null")
    if not described["ends"]:
        raise StageError(
            f"{attribute}: is no stage and holds none; try wan22-smoke, smoke or smoke.checkpoint", status=2
        )
    ends = tuple(dict.fromkeys(described["ends"]))
    return Graph(attribute, installable, ends, _make_stages(attribute, described))


def write_derivations(checkout: Checkout, graph: Graph, names: Sequence[str]) -> list[str]:
    """Have Nix write the derivations of stages, with all that they read, into the store; return their paths."""
    return checkout.evaluate(graph.installable, f"({DESCRIBE.read_text()}) {{ derivations = {_nix_list(names)}; }}")


def write_sources(checkout: Checkout, graph: Graph, names: Sequence[str]) -> None:
    """Have Nix write the code of stages and the derivations of their environments into the store."""
    checkout.evaluate(graph.installable, f"({DESCRIBE.read_text()}) {{ sources = {_nix_list(names)}; }}")


def _nix_list(names: Sequence[str]) -> str:
    listed = " ".join(json.dumps(name).replace("${", "\\${") for name in names)
    return f"[ {listed} ]"


def _make_stages(target: str, described: Mapping[str, Any]) -> dict[str, Stage]:
    """Return stages in an order in which they can be built, from what describe.nix says of them."""
    known, calls = described["stages"], described["calls"]
    by_drv = {stage["drv"]: name for name, stage in known.items()}
    needs = {name: {by_drv[path] for path in stage["context"] if path in by_drv} for name, stage in known.items()}
    try:
        order = list(TopologicalSorter({name: sorted(needs[name]) for name in sorted(needs)}).static_order())
    except CycleError as error:
        raise StageError(f"{target}: its stages need each other in a circle: {' -> '.join(error.args[1])}") from error
    stages = {name: _stage(name, known[name], calls[known[name]["call"]], by_drv) for name in order}
    # One of each definition, since it is Nix's way of making derivations that is in question.
    for stage in {stage.stage: stage for stage in stages.values()}.values():
        _check_derivation(stage)
    return stages


def _check_derivation(stage: Stage) -> None:
    if stage.derivation.path(stage.build_name) != stage.drv:
        raise StageError(
            f"{stage.name}: this Nix makes another derivation of it than reel expects; use Nix 2.8 to 2.34", status=3
        )
    for label, source in stage.input_stages.items():
        if source is None and PLACEHOLDER.match(flat_inputs(stage.attributes["inputs"])[label]):
            raise StageError(
                f"{stage.name}: its input '{label}' is content-addressed but no stage; make it with mkStage"
            )


def _stage(name: str, described: Mapping[str, Any], call: Mapping[str, Any], by_drv: Mapping[str, str]) -> Stage:
    context = {**described["context"], **call["context"]}
    derivation = Derivation(
        outputs=_OUTPUTS,
        input_derivations={path: tuple(use["outputs"]) for path, use in context.items() if "outputs" in use},
        sources=tuple(sorted(path for path, use in context.items() if use.get("path"))),
        system=described["system"],
        builder=described["builder"],
        arguments=tuple(call["arguments"]),
        environment={"__json": described["attributes"], "out": _OUT},
    )
    return Stage(
        name=name,
        set=described["set"],
        stage=described["stage"],
        kind=described["kind"],
        environment=described["environment"],
        edges=described["edges"],
        works=tuple(described["works"]),
        input_works=described["input_works"],
        drv=described["drv"],
        derivation=derivation,
        features=frozenset(described["features"]),
        upstream_drvs={path: by_drv[path] for path in derivation.input_derivations if path in by_drv},
    )


def flat_inputs(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return the paths of a stage's inputs by label, ``clips.episode-1`` for one of several."""
    flat: dict[str, str] = {}
    for name, value in inputs.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{key}": path for key, path in value.items()})
        elif value is not None:
            flat[name] = value
    return flat


def code_path(derivation: Derivation) -> str:
    """Return the store path of the code that a stage's derivation runs, or "" if it is no stage's."""
    match = next(filter(None, map(_CODE.search, derivation.arguments)), None)
    return match.group(1) if match else ""
