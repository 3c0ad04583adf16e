# file : script -> model's name -> { path, sha256, size, ... } -> derivation (one file)
#
# One locked file of a model. Nothing is fetched in the build: `reel models ingest` and `reel models add-local` put the
# file into the store under this very path, which a fixed output has by its name and hash alone.
script: model: entry:
script {
  # Store names take fewer characters than the hub, and no dot in front.
  name =
    let
      characters = builtins.filter builtins.isString (builtins.split "" (baseNameOf entry.path));
      isAllowed = character: builtins.match "[A-Za-z0-9+._?=-]" character != null;
      name = builtins.concatStringsSep "" (
        map (character: if isAllowed character || character == "" then character else "-") characters
      );
    in
    if builtins.substring 0 1 name == "." then "dot${name}" else name;
  file = ./missing.py;
  missing = "model '${model}': ${entry.path} is not in the store; run: reel models ingest ${model}   (from disk: reel models add-local DIRECTORY ${model})";
  outputHashMode = "flat";
  outputHashAlgo = "sha256";
  outputHash = entry.sha256;
  preferLocalBuild = true;
}
