# stages : { <name> = definition; }
#
# The directory is the registry: every other file here defines the stage of its name.
let
  files = removeAttrs (builtins.readDir ./.) [ "default.nix" ];
  define =
    file:
    let
      value = import (./. + "/${file}");
    in
    {
      inherit (value) name;
      inherit value;
    };
in
builtins.listToAttrs (map define (builtins.attrNames files))
