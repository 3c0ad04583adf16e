# closure : [ stage ] -> { "<set>/<stage>" = stage; }
#
# The given stages and every stage that they were made from, by a name that a person recognises.
let
  stagesOf =
    value:
    if builtins.isAttrs value && value ? stage then
      [
        {
          key = "${value.set}/${value.stage}";
          stage = value;
        }
      ]
    else if builtins.isAttrs value && !(value ? type) && !(value ? kind) then
      builtins.concatMap stagesOf (builtins.attrValues value)
    else
      [ ];
in
stages:
builtins.listToAttrs (
  map
    (item: {
      name = item.key;
      value = item.stage;
    })
    (
      builtins.genericClosure {
        startSet = builtins.concatMap stagesOf stages;
        operator = item: stagesOf item.stage.needs;
      }
    )
)
