# toolchain : { toolchain, system } -> { name, shell, loader, libraries, desktopLibraries, pythonHome, headers, pip, certificates }
#
# The one interface behind which both toolchains stand:
#   name          "nixpkgs" or "embedded"
#   shell         path of a POSIX shell
#   loader        path of the dynamic loader that starts Python
#   libraries     folders with the shared libraries that manylinux wheels expect
#   desktopLibraries  the same of glib and X11, which few of these wheels expect
#   pythonHome    CPython 3.11: bin/python3.11 and lib/python3.11
#   headers       folder with Python.h and pyconfig.h of that CPython
#   pip           what PYTHONPATH must name for `python -m pip`
#   certificates  file of the authorities that fetches trust
#
# Example: import ./toolchain { inherit (inputs) toolchain; system = "x86_64-linux"; }
{ toolchain, system }:
if toolchain ? embedded then
  import ./embedded {
    inherit system;
    inherit (toolchain.embedded) seed headers desktop certificates;
  }
else if toolchain ? legacyPackages.${system} then
  import ./nixpkgs.nix {
    inherit system;
    pkgs = toolchain.legacyPackages.${system};
  }
else
  throw "reelgraph: the flake input 'toolchain' is neither nixpkgs for ${system} nor a seed made by nixw; use ./nixw, or let 'toolchain' follow nixpkgs"
