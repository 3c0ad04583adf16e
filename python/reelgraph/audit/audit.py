"""The audit: build every stage of a target a second time in a clean store, each by itself on the first build's inputs.

Because a stage is given the first build's inputs and not the second's, one that differs does not make those behind it
differ: the report names the stage whose fault it is. An interrupted audit leaves its store and goes on from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.audit.clean_store import CleanStore, Rebuilt
from reelgraph.audit.differences import Difference, compare_outputs
from reelgraph.audit.rebuild import VARIATIONS, Circumstances, instantiate
from reelgraph.errors import StageError
from reelgraph.graph.builders import LOCAL, read_machines
from reelgraph.graph.evaluate import Checkout, Graph, Stage, load_graph, write_derivations
from reelgraph.graph.state import StageState, find_states
from reelgraph.graph.store import Store, ValidPath
from reelgraph.graph.words import counted, some

REPRODUCED, DIFFERS, NOT_CHECKED = "reproduced", "differs", "not-checked"
# What the largest stage of the smoke job needs at most.
STAGE_BYTES = 4 << 30


@dataclass(frozen=True)
class Options:
    """Where and how the second builds run; ``since`` leaves out the stages that are as they were at a git revision."""

    circumstances: Circumstances
    nix_folder: Path | None = None
    builder: str | None = None
    since: str | None = None
    jobs: int | None = None
    work: Path | None = None
    keep: bool = False


@dataclass(frozen=True)
class StageAudit:
    """One stage: its class, why it is not reproduced or not checked, its two outputs, seconds, and what differs."""

    name: str
    outcome: str
    reason: str
    first: ValidPath | None
    second: ValidPath | None
    seconds: tuple[float | None, float | None]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Audit:
    """A finished audit."""

    target: str
    stages: Sequence[StageAudit]
    facts: Mapping[str, str]

    @property
    def counts(self) -> Counter[str]:
        """How many stages are of which class."""
        return Counter(stage.outcome for stage in self.stages)

    @property
    def is_good(self) -> bool:
        """Whether nothing differs and something was checked."""
        return not self.counts[DIFFERS] and bool(self.counts[REPRODUCED])

    @property
    def sentence(self) -> str:
        """The outcome in a line."""
        counts = self.counts
        checked = counts[REPRODUCED] + counts[DIFFERS]
        parts = [f"{counts[REPRODUCED]} of {checked} checked stages reproduced"]
        parts += [f"{counts[DIFFERS]} differ"] if counts[DIFFERS] else []
        parts += [f"{counts[NOT_CHECKED]} not checked"] if counts[NOT_CHECKED] else []
        return f"{self.target}: {', '.join(parts)}"


def run_audit(checkout: Checkout, target: str, options: Options) -> Audit:
    """Audit a target; stages that are not built yet are built first."""
    begin = time.monotonic()
    graph = load_graph(checkout, target)
    # Before the first build, so that a revision that is not there costs none.
    earlier = load_graph(checkout, graph.target, checkout.flake_at(options.since)).stages if options.since else {}
    store, states = _built_states(checkout, graph)
    skipped = _skipped(checkout, graph, states, earlier, options)
    second = {name: options.circumstances.of(state.derivation) for name, state in states.items() if name not in skipped}
    clean = CleanStore(
        checkout=Checkout(checkout.root, options.nix_folder),
        folder=options.work or _default_folder(checkout, target, options),
        builder=options.builder,
    )
    paths = instantiate(checkout, second)
    identities = {name: derivation.realisation() for name, derivation in second.items()}
    # How much memory a builder has is not known here, and a GPU is best had alone.
    jobs = options.jobs or (1 if options.builder else _jobs())
    with clean.locked():
        how = clean.prepare(list(paths.values()))
        rebuilt = _build(clean, identities, paths, jobs)
        stages = [
            _judge(state, skipped.get(name), rebuilt.get(identities.get(name, "")), store, clean.store)
            for name, state in states.items()
        ]
        facts = _facts(checkout, clean, options, jobs, how, time.monotonic() - begin)
        audit = Audit(graph.target, stages, facts)
    if not options.keep:
        clean.remove()
    return audit


def audit_json(audit: Audit) -> dict[str, Any]:
    """Return an audit as data (schemas/reel-audit.json)."""
    return {
        "target": audit.target,
        "facts": dict(audit.facts),
        "stages": [
            {
                "name": stage.name,
                "class": stage.outcome,
                "reason": stage.reason,
                "first": _path_json(stage.first, stage.seconds[0]),
                "second": _path_json(stage.second, stage.seconds[1]),
                "differences": [
                    {
                        "file": difference.file,
                        "kind": difference.kind,
                        "summary": difference.summary,
                        "details": list(difference.details),
                        "cause": difference.cause,
                    }
                    for difference in stage.differences
                ],
            }
            for stage in audit.stages
        ],
        "totals": {
            "stages": len(audit.stages),
            "reproduced": audit.counts[REPRODUCED],
            "differs": audit.counts[DIFFERS],
            "not_checked": audit.counts[NOT_CHECKED],
        },
    }


def _built_states(checkout: Checkout, graph: Graph) -> tuple[Store, dict[str, StageState]]:
    """Return the stages' states once all that can be built is built."""
    store = Store()
    states = find_states(graph, store)
    missing = [name for name, state in states.items() if state.output is None]
    if missing:
        print(f"audit: first building {some(missing, 3)}", file=sys.stderr, flush=True)
        ends = write_derivations(checkout, graph, graph.ends)
        checkout.show_nix("build", "--no-link", "-L", "--keep-going", *map(checkout.outputs_of, ends))
        store = Store()
        states = find_states(graph, store)
    return store, states


def _skipped(
    checkout: Checkout,
    graph: Graph,
    states: Mapping[str, StageState],
    earlier: Mapping[str, Stage],
    options: Options,
) -> dict[str, str]:
    """Return why stages are not checked, by name; ``earlier`` are the stages of the revision to compare with."""
    skipped: dict[str, str] = {}
    machines = read_machines(checkout) if any(stage.features for stage in graph.stages.values()) else None
    for name, state in states.items():
        stage = state.stage
        if state.output is None:
            skipped[name] = "it could not be built a first time"
        elif name in earlier and earlier[name].drv == stage.drv:
            skipped[name] = f"unchanged since {options.since}"
        elif machines and not options.builder and machines.where(stage.derivation.system, stage.features) != LOCAL:
            skipped[name] = (
                f"needs {', '.join(sorted(stage.features))}, which this machine does not offer (see --builder)"
            )
    return skipped


def _build(clean: CleanStore, identities: Mapping[str, str], paths: Mapping[str, str], jobs: int) -> dict[str, Rebuilt]:
    """Build what an interrupted audit has not built yet; return everything by realisation id."""
    realisations = {identity: paths[name] for name, identity in identities.items()}
    done = clean.rebuilt(realisations)
    pending = [path for identity, path in realisations.items() if identity not in done]
    if done and pending:
        print(
            f"audit: going on, {len(done)} of {counted(len(realisations), 'stage')} are built again already",
            file=sys.stderr,
            flush=True,
        )
    if pending:
        clean.build(pending, jobs)
    rebuilt, store = clean.rebuilt(realisations), clean.store
    unstarted = [
        name for name, identity in identities.items() if identity not in rebuilt and not store.has_log(paths[name])
    ]
    if unstarted:
        raise StageError(
            f"the second build of {some(unstarted, 3)} could not be started; see above, then run this again to go on",
            status=3,
        )
    return rebuilt


def _judge(state: StageState, skipped: str | None, rebuilt: Rebuilt | None, store: Store, clean: Store) -> StageAudit:
    name, first = state.stage.name, state.output
    seconds = (store.seconds(state.drv) if state.drv else None, rebuilt.seconds if rebuilt else None)
    if skipped is not None:
        return StageAudit(name, NOT_CHECKED, skipped, first, None, (seconds[0], None), ())
    assert first is not None
    if rebuilt is None:
        return StageAudit(name, DIFFERS, "its second build failed; see the log above", first, None, seconds, ())
    second = rebuilt.output
    if (first.path, first.hash) == (second.path, second.hash):
        return StageAudit(name, REPRODUCED, "", first, second, seconds, ())
    differences = tuple(compare_outputs(store.file(first.path), clean.file(second.path)))
    reason = (
        f"{counted(len(differences), 'file')} differ"
        if len(differences) != 1
        else f"{differences[0].file} {differences[0].summary}"
    )
    return StageAudit(name, DIFFERS, reason, first, second, seconds, differences)


def _facts(
    checkout: Checkout, clean: CleanStore, options: Options, jobs: int, how: str, seconds: float
) -> dict[str, str]:
    """Return what a reader must know of the circumstances; never what would name the machine."""
    circumstances = options.circumstances
    lock = json.loads((checkout.root / "flake.lock").read_text())
    pins = {name: node["locked"].get("rev") for name, node in lock["nodes"].items() if "locked" in node}
    return {
        "Nix of the first build": ".".join(map(str, checkout.nix_version)),
        "Nix of the second build": ".".join(map(str, clean.checkout.nix_version)),
        "second build": f"{_place(options.builder)}, {counted(jobs, 'stage')} at a time",
        "inputs": f"{how} from the first build, stage by stage",
        "varied": ", ".join(VARIATIONS) if circumstances.varied else "nothing",
        "instruction sets": "pinned" if circumstances.cpu_pins else "all that the processor has",
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "flake.lock": ", ".join(f"{name} {revision}" for name, revision in pins.items() if revision) or "no pins",
        "taken as they are": "Python environments, toolchain, models and masters: fixed or addressed by their inputs",
        "seconds": f"{seconds:.1f}",
    }


def _place(builder: str | None) -> str:
    """Return where the second build ran; an address and a key's file are nobody's business."""
    if builder is None:
        return "here, in a clean store"
    scheme, separator, _ = builder.partition("://")
    return f"on a builder over {scheme}" if separator else "here, in another store"


def _path_json(path: ValidPath | None, seconds: float | None) -> dict[str, Any] | None:
    return {"path": path.path, "hash": path.hash, "bytes": path.size, "seconds": seconds} if path else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _jobs() -> int:
    """Return how many stages fit into this machine's free memory and processors at a time."""
    available = 0
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    return max(1, min(len(os.sched_getaffinity(0)), available // STAGE_BYTES))


def _default_folder(checkout: Checkout, target: str, options: Options) -> Path:
    """Return the clean store's folder: the same for the same question, so that an interrupted audit finds its own."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    question = [str(checkout.root), target, str(options.nix_folder), options.builder, str(options.circumstances)]
    return cache / "reelgraph" / "audit" / hashlib.sha256(json.dumps(question).encode()).hexdigest()[:16]
