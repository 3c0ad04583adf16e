# python : { toolchain, system, locks } -> { script, fetch, unpack, environment, links, program, environments }
#
# `environments` has one Python environment for each list in python/locks/<system>; a wheel that several lists name is
# fetched and unpacked once.
{
  toolchain,
  system,
  locks,
}:
let
  script = import ./script.nix { inherit toolchain system; };
  environment = import ./environment.nix { inherit script toolchain; };
  fetch = import ./fetch.nix {
    inherit script toolchain;
    python = environment {
      name = "bare";
      packages = [ ];
    };
  };
  unpack = import ./unpack.nix script;
  unpacked = list: map (wheel: unpack (fetch wheel)) (import ./lock.nix (locks + "/${system}/${list}.txt"));
  triton = import ./triton.nix {
    inherit script toolchain system;
    zig = builtins.head (unpacked "compiler");
  };
  # What Triton lacks in a sandbox stands before it: of a file that two packages have, the first stays.
  ready = package: if isOf "triton" package then [ (triton package) package ] else [ package ];
  isOf = project: package: builtins.match "reel-${project}-[0-9].*" package.name != null;
  lists = map (file: builtins.head (builtins.match "(.*)\\.txt" file)) (
    builtins.attrNames (builtins.readDir (locks + "/${system}"))
  );
in
{
  inherit
    script
    fetch
    unpack
    environment
    ;
  links = import ./links.nix script;
  program = import ./program.nix { inherit script toolchain; };
  environments = builtins.listToAttrs (
    map (
      name:
      let
        packages = builtins.concatMap ready (unpacked name);
      in
      {
        inherit name;
        value = environment {
          inherit name packages;
          # Graphviz is linked with all that it can draw on.
          libraries = if builtins.any (isOf "pygraphviz") packages then toolchain.desktopLibraries else [ ];
        };
      }
    ) lists
  );
}
