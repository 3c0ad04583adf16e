# script : { toolchain, system } -> { name, file, python ? null, ... } -> derivation
#
# An ordinary derivation that runs one Python file under the toolchain's bare CPython, or under the environment `python`
# if it starts other Pythons; every further attribute is an environment variable of it.
#
# Example: script { inherit toolchain system; } { name = "x.whl"; file = ./fetch.py; requirement = "x==1"; }
{ toolchain, system }:
{
  name,
  file,
  python ? null,
  ...
}@attributes:
let
  start =
    if python == null then
      {
        builder = toolchain.loader;
        args = [
          "--argv0"
          "${toolchain.pythonHome}/bin/python3.11"
          "--library-path"
          (builtins.concatStringsSep ":" toolchain.libraries)
          "${toolchain.pythonHome}/bin/python3.11"
          "-u"
          file
        ];
      }
    else
      {
        builder = "${python}/bin/python3.11";
        args = [
          "-u"
          file
        ];
      };
in
derivation (
  removeAttrs attributes [
    "file"
    "python"
  ]
  // start
  // {
    inherit name system;
  }
)
