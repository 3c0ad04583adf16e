# lock : path -> [ { name, version, sha256 } ]
#
# Reads a hash-locked list: one line a file, `name==version --hash=sha256:<hex>`; `#` starts a comment.
#
# Example: lock ../../python/locks/x86_64-linux/media.txt
path:
let
  lines = builtins.filter builtins.isString (builtins.split "\n" (builtins.readFile path));
  parse =
    line:
    let
      fields = builtins.match "([A-Za-z0-9._-]+)==([^ ]+) --hash=sha256:([0-9a-f]{64})" line;
    in
    if fields == null then
      throw "reelgraph: ${baseNameOf path}: cannot read the line '${line}'; expected 'name==version --hash=sha256:<hex>' (run: reel lock)"
    else
      {
        name = builtins.elemAt fields 0;
        version = builtins.elemAt fields 1;
        sha256 = builtins.elemAt fields 2;
      };
in
map parse (builtins.filter (line: builtins.match "(#.*)?" line == null) lines)
