# describe : [ attribute ] -> pipeline or stage -> description
#
# A pipeline's stages as data, with the exact attributes of each derivation; of a package, only its pipeline's name.
path: root:
let
  stagesOf =
    value:
    if value ? stage then
      [ value ]
    else if builtins.isAttrs value && value ? type then
      builtins.filter (entry: builtins.isAttrs entry && entry ? stage) (
        map (name: value.${name}) (
          builtins.filter (name: !(builtins.elem name [ "all" "out" "drvAttrs" ])) (builtins.attrNames value)
        )
      )
    else if builtins.isAttrs value then
      builtins.concatMap stagesOf (builtins.attrValues (removeAttrs value [ "graph" "stages" ]))
    else
      [ ];

  nameOf = stage: "${stage.set}/${stage.stage}";

  find =
    value: names:
    if names == [ ] then
      value
    else if builtins.isAttrs value && value ? ${builtins.head names} then
      find value.${builtins.head names} (builtins.tail names)
    else
      null;

  describe =
    stage:
    let
      attributes = builtins.toJSON (
        removeAttrs stage.drvAttrs [
          "args"
          "__structuredAttrs"
          "__contentAddressed"
        ]
      );
    in
    {
      inherit (stage)
        set
        stage
        kind
        environment
        edges
        ;
      inherit attributes;
      drv = builtins.unsafeDiscardStringContext stage.drvPath;
      arguments = stage.args;
      context = builtins.getContext (attributes + toString stage.args);
    };

  found = find root path;
in
if root ? stages then
  {
    stages = builtins.mapAttrs (_: describe) root.stages;
    episodes = builtins.attrNames (root.episodes or { });
    target = if found == null then null else if path == [ ] then builtins.attrNames root.stages else map nameOf (stagesOf found);
  }
else if root ? stage then
  {
    pipeline = root.set;
    target = nameOf root;
  }
else
  { }
