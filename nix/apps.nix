# apps : { python } -> { tests, bench, shell, run_wan22_train, build_iiw_english_source_manifest, reel }
#
# `tests`, `bench` and `shell` run the checkout that they are called in; `reel` is the project's own code as it was when the flake was read.
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
  checkout = import ./checkout.nix { inherit python; };
  # What a person's own file puts first on PATH, such as another Python, comes behind.
  bashrc = python.program {
    name = "bashrc";
    text = ''
      [ ! -r ~/.bashrc ] || . ~/.bashrc
      ${checkout.shell "shell"}
    '';
  };
in
{
  tests = app "tests" "Try everything that Reelgraph promises, or what pytest's arguments name" ''
    ${checkout.enter "tests"}
    # As in every stage: threads that wait for a core which another process has make small models far slower.
    export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
    # All of it takes half an hour on one core. Files are given out in pytest.ini's order: small ones last, to fill the gaps.
    [ $# -gt 0 ] || set -- --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
    exec ${python.environments.test}/bin/python3.11 -m pytest "$@"
  '';
  bench = app "bench" "Run one of tests/bench by name" ''
    ${checkout.enter "bench"}
    if [ ! -e "tests/bench/''${1-}.py" ]; then
      echo "bench: there is no '"''${1-}"'; name a file of tests/bench without its .py" >&2
      exit 2
    fi
    name=$1
    shift
    exec ${python.environments.test}/bin/python3.11 "tests/bench/$name.py" "$@"
  '';
  shell = app "shell" "Open a shell with reel, python and ruff as this checkout has them, or run --command PROGRAM in it" ''
    ${checkout.shell "shell"}
    case $#,''${1-} in
      0,)
        echo "shell: reel, python and ruff are this checkout's; exit leaves" >&2
        [ "''${SHELL##*/}" != bash ] || exec "$SHELL" --rcfile ${bashrc}/bin/bashrc
        exec "''${SHELL:-/bin/sh}"
        ;;
      1,-c | 1,--command) ;;
      *,-c | *,--command) shift; exec "$@" ;;
    esac
    echo "shell: takes nothing, or --command PROGRAM ARGUMENTS; '$*' is neither" >&2
    exit 2
  '';
  run_wan22_train = app "run_wan22_train" "Train a Wan2.2 LoRA by hand, outside the graph" ''
    exec ${python.environments.train}/bin/python3.11 -c 'import sys; sys.path.insert(0, "${code}"); from reelgraph.determinism import restart_in_fixed_environment; restart_in_fixed_environment(); from reelgraph.run_wan22_train import main; main(prog_name="run_wan22_train")' "$@"
  '';
  reel = reel "reel" "Everything in Reelgraph that is not a build" "";
  # The runbook's name for it.
  build_iiw_english_source_manifest = reel "build_iiw_english_source_manifest" "Write the manifest of a folder of masters" "manifest build";
}
