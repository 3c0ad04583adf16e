"""Building what needs a GPU on a registered builder, and one sentence for what went wrong.

There are two ways. The ordinary one is Nix's own: stages that need ``cuda`` go to the builder one by one and every
output comes back. With ``there`` the builder is the store: stages before the first GPU stage are built here and copied
once, everything after runs there, and only what was asked for comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reelgraph.builder.machines import Builder, check_version
from reelgraph.builder.nix import Finished, Needed, Plan, last_line, nix_version, nixw, plan
from reelgraph.builder.ssh import BuilderError, ask_daemon
from reelgraph.errors import StageError
from reelgraph.graph.words import agree, some

HELP = "rent one or register your own, see docs/builder.md"


def gpu_stages(installables: Sequence[str]) -> list[Needed]:
    """Return the stages that are still to be built and need a CUDA builder, inputs before what uses them."""
    what = plan(installables)
    return [what.graph[path] for path in what.in_order() if path in what.missing and what.graph[path].needs_cuda]


def explain(installables: Sequence[str], builders: Iterable[Builder], log: str = "") -> str | None:
    """Return why GPU stages of a failed build did not come about, or None if it was something else."""
    waiting = gpu_stages(installables)
    if not waiting:
        return None
    stages = f"stage {some([stage.name.removeprefix('reel-') for stage in waiting], 1)}"
    builders = list(builders)
    if not builders:
        stages += f" {agree(len(waiting), 'needs')}"
        return f"{stages} a CUDA builder and none is registered: {HELP}, then run the same command again"
    problems, daemons = [], []
    for builder in builders:
        try:
            daemons.append(ask_daemon(builder.name, builder.target))
            check_version(builder.name, daemons[-1], any_version=False)
        except BuilderError as error:
            problems.append(str(error))
    if said := explain_log(log, builders):
        problems.insert(0, said)
    if problems:
        return (
            f"{stages} {agree(len(waiting), 'was')} not built: {'; '.join(problems)}. What is finished is kept; "
            "the same command goes on from there"
        )
    return None


def explain_log(log: str, builders: Sequence[Builder]) -> str | None:
    """Return what a build's log shows about a builder."""
    for builder in builders:
        used = f"on '{builder.uri}'" in log
        if used and "is required to build" in log and "but I am a" in log.split(f"on '{builder.uri}'")[-1]:
            return (
                f"builder '{builder.name}' does not offer 'cuda' and 'ca-derivations': put both into system-features "
                "and ca-derivations into experimental-features there, then restart its daemon"
            )
        if used and any(
            sign in log
            for sign in ("unexpected end-of-file", "Broken pipe", "Connection reset", "closed by remote host")
        ):
            return f"the connection to builder '{builder.name}' broke during the build"
        if "restricted setting" in log and "builders" in log:
            return (
                "this machine's Nix daemon does not trust you, so it ignores your builders; "
                "ask its administrator for trusted-users"
            )
    return None


def build(installables: Sequence[str], builders: Sequence[Builder], options: Sequence[str]) -> Finished:
    """Build in Nix's ordinary way; raise a StageError that explains a failure where a builder is the reason."""
    finished = nixw(["build", "-L", "--no-link", "--json", *options, *installables])
    if finished.status and (reason := explain(installables, builders, finished.log)):
        raise StageError(reason)
    if finished.status:
        raise StageError(f"{' '.join(installables)} was not built: {last_line(finished.log)}")
    return finished


def build_there(installables: Sequence[str], builder: Builder, fetch: Sequence[str]) -> Finished:
    """Build with the builder as the store and copy back ``fetch``."""
    daemon = ask_daemon(builder.name, builder.target)
    check_version(builder.name, daemon, any_version=False)
    ahead = before_gpu(plan(installables))
    if ahead:
        _run(["build", "-L", "--no-link", *map(_outputs, ahead)], "what the GPU stages need was not built here")
        _run(
            ["copy", "--no-check-sigs", "--to", builder.store, *map(_outputs, ahead)],
            f"inputs were not copied to '{builder.name}'",
        )
    there = ["--store", builder.store, "--eval-store", "auto"]
    finished = nixw(["build", "-L", "--no-link", "--json", *there, *installables])
    if finished.status:
        try:
            ask_daemon(builder.name, builder.target)
        except BuilderError as error:
            raise StageError(f"{error}. What is finished there is kept while the machine lives") from error
        raise StageError(f"{' '.join(installables)} was not built on '{builder.name}': {last_line(finished.log)}")
    if fetch:
        _run(
            ["copy", "--no-check-sigs", "--from", builder.store, "--eval-store", "auto", *fetch],
            "results were not copied back",
        )
    return finished


def before_gpu(what: Plan) -> list[str]:
    """Return the derivations that depend on no GPU stage and that stages from the first GPU stage on use."""
    behind: set[str] = set()
    for path in what.in_order():
        if what.graph[path].needs_cuda or any(used in behind for used in what.graph[path].inputs):
            behind.add(path)
    used = {used for path in behind for used in what.graph[path].inputs if used not in behind}
    return sorted(path for path in used if path in what.graph)


def _run(arguments: list[str], what: str) -> None:
    finished = nixw(arguments)
    if finished.status:
        raise StageError(f"{what}: {last_line(finished.log)}")


def _outputs(derivation: str) -> str:
    """Return a derivation's outputs as Nix takes them: the plain path means the file itself from 2.15 on."""
    major, minor = map(int, nix_version().split(".")[:2])
    return f"{derivation}^*" if (major, minor) >= (2, 15) else derivation
