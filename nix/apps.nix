# apps : { python } -> { tests, reel }
#
# `tests` runs the checkout that it is called in; `reel` is the project's own code as it was when the flake was read.
{ python }:
let
  app = name: text: {
    type = "app";
    program = "${python.program { inherit name text; }}/bin/${name}";
  };
  code = builtins.path {
    name = "reel-code";
    path = ../python;
    filter = path: _: builtins.match ".*/(locks|__pycache__)(/.*)?" path == null;
  };
in
{
  tests = app "tests" ''
    root=$PWD
    while [ ! -e "$root/nixw" ]; do
      [ "$root" != / ] || { echo "tests: run this inside a checkout of Reelgraph" >&2; exit 2; }
      root=''${root%/*}
      root=''${root:-/}
    done
    cd "$root"
    PYTHONPATH=$root/python PYTHONDONTWRITEBYTECODE=1 exec ${python.environments.test}/bin/python3.11 -m pytest "$@"
  '';
  reel = app "reel" ''
    exec ${python.environments.cli}/bin/python3.11 -c 'import sys; sys.path.insert(0, "${code}"); from reelgraph.cli.main import main; main(prog_name="reel")' "$@"
  '';
}
