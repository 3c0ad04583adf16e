# environment : { script, toolchain } -> { name, packages, libraries ? [ ] } -> derivation
#
# Several unpacked wheels as one Python environment: bin/python3.11 with exactly these packages, which may also expect the
# folders `libraries`.
#
# Example: environment { name = "media"; packages = [ av numpy ]; }
{ script, toolchain }:
{
  name,
  packages,
  libraries ? [ ],
}:
script {
  name = "reel-python-${name}";
  file = ./environment.py;
  inherit packages;
  inherit (toolchain) shell loader pythonHome;
  # The driver's libcuda is the one library that never comes from a derivation; the folder is empty without a GPU.
  libraries = builtins.concatStringsSep ":" (toolchain.libraries ++ libraries ++ [ "/run/opengl-driver/lib" ]);
}
