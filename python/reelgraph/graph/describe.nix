# describe : names -> value -> description
#
# The stages of a flake's attribute (a stage, or an attribute set or list of them) and all stages behind them, as data.
# Given names, only these: what they read is then written into the store, and each is its derivation's path.
names: root:
let
  stagesOf =
    value:
    if builtins.isList value then
      builtins.concatMap stagesOf value
    else if !(builtins.isAttrs value) then
      [ ]
    else if value ? stage then
      [
        {
          key = "${value.set}/${value.stage}";
          stage = value;
        }
      ]
    # A derivation of links has the stages that it links to as attributes.
    else if value ? type then
      builtins.concatMap (name: if value.${name} ? stage then stagesOf value.${name} else [ ]) (
        builtins.filter (name: !(builtins.elem name [ "all" "out" "drvAttrs" ])) (builtins.attrNames value)
      )
    else if value ? kind then
      [ ]
    else
      builtins.concatMap stagesOf (builtins.attrValues (removeAttrs value [ "graph" ]));

  ends = stagesOf root;
  items = builtins.genericClosure {
    startSet = ends;
    operator = item: stagesOf item.stage.needs;
  };
  stages = builtins.listToAttrs (
    map (item: {
      name = item.key;
      value = item.stage;
    }) items
  );

  # The licensed works in an input that no stage makes.
  worksIn =
    value:
    if !(builtins.isAttrs value) || value ? stage then
      [ ]
    else if value ? works then
      value.works
    else if value ? type || value ? kind then
      [ ]
    else
      builtins.concatMap worksIn (builtins.attrValues value);

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
      works = stage.works or [ ];
      input_works = builtins.mapAttrs (_: worksIn) stage.needs;
      drv = builtins.unsafeDiscardStringContext stage.drvPath;
      arguments = stage.args;
      context = builtins.getContext (attributes + toString stage.args);
    };
in
if names == null then
  {
    ends = map (item: item.key) ends;
    stages = builtins.mapAttrs (_: describe) stages;
  }
else
  map (name: builtins.seq (stages.${name}.builder + toString stages.${name}.args) stages.${name}.drvPath) names
