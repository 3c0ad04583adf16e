# embedded : { seed, headers, desktop, certificates, system } -> toolchain
#
# The distribution's CPython 3.11 and C runtime, copied into the store by seed.sh. Python is started through the seed's
# own loader, so that no binary has to be changed; its standard library is compiled once, with hashes that are not
# checked, because the store resets modification times and every start would compile it again.
{
  seed,
  headers,
  desktop,
  certificates,
  system,
}:
let
  loader = "${seed}/lib/${(import ../loaders.nix).${system}}";
in
{
  name = "embedded";
  inherit headers certificates;
  shell = "${seed}/bin/sh";
  inherit loader;
  libraries = [ "${seed}/lib" ];
  desktopLibraries = [ "${desktop}" ];
  pythonHome = derivation {
    name = "reel-python-3.11";
    inherit system seed;
    builder = loader;
    args = [
      "--argv0"
      "${seed}/bin/python3.11"
      "--library-path"
      "${seed}/lib"
      "${seed}/bin/python3.11"
      ./python_home.py
    ];
  };
  pip = "${seed}/pip/pip.whl";
}
