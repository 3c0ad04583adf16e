# jsonFolder : path -> { <file's name without .json> = value; }
#
# Every JSON file of a folder as data.
folder:
let
  named = map (builtins.match "(.*)\\.json") (builtins.attrNames (builtins.readDir folder));
in
builtins.listToAttrs (
  builtins.concatMap (
    match:
    if match == null then
      [ ]
    else
      map (name: {
        inherit name;
        value = builtins.fromJSON (builtins.readFile (folder + "/${name}.json"));
      }) match
  ) named
)
