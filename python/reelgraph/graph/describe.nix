# describe : request -> value -> description
#
# The stages of a flake's attribute (a stage, or an attribute set or list of them) and all stages behind them, as data.
#   request  null; or { derivations = [ NAME ]; } for these stages' derivations, or { sources = [ NAME ]; } for the code and
#            environment of these stages: evaluated without --read-only, they are then in the store
request: root:
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

  # A definition's stages are all called alike, however many episodes there are.
  callOf = stage: builtins.hashString "sha256" (builtins.unsafeDiscardStringContext (toString stage.args));
  calls = builtins.listToAttrs (
    map (item: {
      name = callOf item.stage;
      value = {
        arguments = item.stage.args;
        context = builtins.getContext (toString item.stage.args);
      };
    }) items
  );

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
        system
        builder
        ;
      inherit attributes;
      features = stage.requiredSystemFeatures;
      works = stage.works or [ ];
      input_works = builtins.mapAttrs (_: worksIn) stage.needs;
      drv = builtins.unsafeDiscardStringContext stage.drvPath;
      call = callOf stage;
      context = builtins.getContext attributes;
    };
in
if request == null then
  {
    ends = map (item: item.key) ends;
    stages = builtins.mapAttrs (_: describe) stages;
    inherit calls;
  }
else if request ? derivations then
  map (name: builtins.seq (stages.${name}.builder + toString stages.${name}.args) stages.${name}.drvPath) request.derivations
else
  map (name: stages.${name}.builder + toString stages.${name}.args) request.sources
