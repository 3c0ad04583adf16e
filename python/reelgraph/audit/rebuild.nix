# rebuild : { specification } -> [ derivation path ]
#
# Writes derivations into the store from a JSON file of their attributes, arguments and sources, as mkStage made them.
{ specification }:
let
  instantiate =
    { attributes, arguments, sources }:
    let
      context = builtins.listToAttrs (
        map (path: {
          name = path;
          value.path = true;
        }) sources
      );
    in
    (derivation (
      attributes
      // {
        # What a derivation reads, Nix takes from the context of its strings; one of them is enough.
        builder = builtins.appendContext attributes.builder context;
        args = arguments;
        __structuredAttrs = true;
        __contentAddressed = true;
      }
    )).drvPath;
in
map instantiate (builtins.fromJSON (builtins.readFile specification))
