# find : pipeline -> [ { path; stage; } ]
#
# Every stage of a pipeline with the attribute path that builds it; those that have a name of their own come first.
pipeline:
let
  walk =
    path: value:
    if !(builtins.isAttrs value) then
      [ ]
    else if value ? stage then
      [
        {
          inherit path;
          stage = value;
        }
      ]
    else if value ? type || value ? kind then
      [ ]
    else
      builtins.concatMap (name: walk (path ++ [ name ]) value.${name}) (builtins.attrNames value);
in
walk [ ] (removeAttrs pipeline [ "graph" "stages" ]) ++ walk [ "stages" ] pipeline.stages
