# provenance : { chains, <stage> = …; } -> { "<set>/<stage>" = stage; }
#
# Every stage that a checkpoint came from, by a name that a person recognises; attribute sets of stages are flattened.
{ chains, ... }@graph:
let
  isStage = value: value ? stage;
  named =
    set: group:
    map (name: {
      name = "${set}/${name}";
      value = group.${name};
    }) (builtins.filter (name: isStage group.${name}) (builtins.attrNames group));
  dataset = removeAttrs graph [
    "chains"
    "trained"
  ];
in
builtins.listToAttrs (
  builtins.concatMap (id: named id chains.${id}) (builtins.attrNames chains)
  ++ named "dataset" dataset
  ++ named "segment" graph.trained
)
