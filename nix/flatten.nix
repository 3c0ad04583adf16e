# flatten : nested attribute sets and lists of stages -> { "<set>/<stage>" = stage; }
#
# Every stage by a name that a person recognises; what is not a stage is left out.
let
  stagesOf =
    value:
    if builtins.isAttrs value && value ? stage then
      [ value ]
    else if builtins.isAttrs value && !(value ? type) then
      builtins.concatMap stagesOf (builtins.attrValues value)
    else
      [ ];
in
graph:
builtins.listToAttrs (
  map (stage: {
    name = "${stage.set}/${stage.stage}";
    value = stage;
  }) (stagesOf graph)
)
