# mkStage : { system, environments, stages, code, licences ? } -> { definition, set, inputs, parameters } -> stage
#
# The only way a stage becomes a derivation: content-addressed, sandboxed, without references, seeing its own script
# and declared modules and nothing else of the project.
#
#   definition  one file of nix/stages: { name, kind, environment, inputs, modules, outputs, cuda ? false }, and confidential ? false
#   set         what the stage is about, an episode or a pipeline: part of the name
#   inputs      attribute set of stages or files; an attribute set of them where the definition says `{ each = kind; }`;
#               a list of kinds where one of several will do
#   parameters  checked against schemas/<name>.parameters.json before any work
#
# Example: mkStage { definition = stages.shots; set = "episode-1"; inputs = { inherit master source; }; parameters = { … }; }
{
  system,
  environments,
  stages,
  code,
  licences ? null,
}:
let
  cudaFeature = "cuda";

  # Store paths of the code that each stage sees, one for each definition however many episodes there are.
  codeOf =
    definition:
    let
      script = builtins.replaceStrings [ "-" ] [ "_" ] definition.name;
      files = [
        "reelgraph/__init__.py"
        "reelgraph/determinism.py"
        "reelgraph/errors.py"
        "reelgraph/files.py"
        "reelgraph/progress.py"
        "reelgraph/stage.py"
        "reelgraph/stages/__init__.py"
        "reelgraph/stages/${script}.py"
        "reelgraph/schemas/stage.json"
        "reelgraph/schemas/${definition.name}.parameters.json"
      ]
      ++ map (schema: "reelgraph/schemas/${schema}.json") definition.schemas
      ++ builtins.concatMap (module: [
        "reelgraph/${dirOf module}/__init__.py"
        "reelgraph/${module}"
      ]) definition.modules;
      root = toString code + "/";
      relative = path: builtins.substring (builtins.stringLength root) (-1) path;
      isWanted =
        path: type:
        if type == "directory" then
          builtins.any (file: builtins.substring 0 (builtins.stringLength (relative path) + 1) file == "${relative path}/") files
        else
          builtins.elem (relative path) files;
    in
    builtins.path {
      name = "reel-${definition.name}-code";
      path = code;
      filter = isWanted;
    };

  describe =
    value:
    if builtins.isAttrs value && value ? kind then
      "a stage of kind '${value.kind}'"
    else if builtins.isAttrs value then
      "an attribute set"
    else
      "a ${builtins.typeOf value}";

  # Edges are typed: what flows in must be of the kind that the definition names.
  check =
    definition: set: name: kind: value:
    if builtins.isAttrs kind && kind ? each then
      if builtins.isAttrs value && !(value ? kind) then
        builtins.mapAttrs (key: check definition set "${name}.${key}" kind.each) value
      else
        throw "reelgraph: stage '${definition.name}' of '${set}': input '${name}' must be an attribute set of stages of kind '${kind.each}', not ${describe value}"
    else if builtins.isAttrs kind && kind ? optional then
      if value == null then null else check definition set name kind.optional value
    else if builtins.isList kind then
      check definition set name (
        if builtins.elem (value.kind or null) kind then value.kind else builtins.concatStringsSep "' or '" kind
      ) value
    else if kind == "any" then
      "${value}"
    else if kind == "file" && !(builtins.isAttrs value && value ? kind) then
      "${value}"
    else if builtins.isAttrs value && (value.kind or null) == kind then
      if kind == "master" && licences != null && licences.reached [ value ] == [ ] then
        throw "reelgraph: stage '${definition.name}' of '${set}': input '${name}' is a master of no known licence; say which work of materials/licences/works it is: lib.licences.mark takes its name"
      else
        "${value.path or value}"
    else
      throw "reelgraph: stage '${definition.name}' of '${set}': input '${name}' must be a stage of kind '${kind}', not ${describe value}";
  # What an input comes from, as data: "<set>/<stage>", a file's name, or an attribute set of these.
  edgesOf =
    value:
    if value == null then
      null
    else if builtins.isAttrs value && value ? stage then
      "${value.set}/${value.stage}"
    else if builtins.isAttrs value && !(value ? type) && !(value ? kind) then
      builtins.mapAttrs (_: edgesOf) value
    else if builtins.isAttrs value then
      value.name
    else
      baseNameOf value;

  codes = builtins.mapAttrs (_: codeOf) stages;
in
{
  definition,
  set,
  inputs,
  parameters ? { },
}:
let
  unknown = builtins.attrNames (removeAttrs inputs (builtins.attrNames definition.inputs));
  checked = builtins.mapAttrs (
    name: kind:
    check definition set name kind (
      inputs.${name}
        or (if kind ? optional then null else throw "reelgraph: stage '${definition.name}' of '${set}': input '${name}' is missing")
    )
  ) definition.inputs;
  python = environments.${definition.environment};
  module = builtins.replaceStrings [ "-" ] [ "_" ] definition.name;
  ownCode = codes.${definition.name} or (codeOf definition);
  works = if licences == null then [ ] else licences.reached (builtins.attrValues inputs ++ [ python ]);
  permit = if licences == null then value: value else licences.permit "stage '${definition.name}' of '${set}'" works;
in
if unknown != [ ] then
  throw "reelgraph: stage '${definition.name}' of '${set}': input '${builtins.head unknown}' is unknown; it takes ${toString (builtins.attrNames definition.inputs)}"
else
  derivation {
    name = "reel-${set}-${definition.name}";
    inherit system parameters;
    inputs = checked;
    builder = permit "${python}/bin/python3.11";
    args = [
      "-c"
      (builtins.concatStringsSep "; " [
        "import sys"
        "sys.path.insert(0, '${ownCode}')"
        "from reelgraph.determinism import restart_in_fixed_environment"
        "restart_in_fixed_environment()"
        "from reelgraph.stages.${module} import STAGE"
        "STAGE.main()"
      ])
      "--derivation"
    ];
    requiredSystemFeatures = if definition.cuda or false then [ cudaFeature ] else [ ];
    __structuredAttrs = true;
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputChecks.out.allowedReferences = [ ];
    # What is cut from licensed masters is asked of no cache.
    allowSubstitutes = !(definition.confidential or false);
  }
  // {
    inherit (definition) kind environment;
    # What it reaches stands beside the derivation, so a licence or a profile is no part of its hash.
    inherit set parameters works;
    stage = definition.name;
    needs = inputs;
    edges = builtins.mapAttrs (_: edgesOf) (removeAttrs inputs [ "provenance" ]);
  }
