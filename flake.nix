{
  description = "Reelgraph: from licensed episodes to a Wan2.2 LoRA checkpoint, one content-addressed derivation a stage";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # Where CPython and the C runtime come from: nixpkgs, or what nixw made of this machine's own.
    toolchain.follows = "nixpkgs";
  };

  outputs =
    { self, nixpkgs, toolchain }:
    let
      systems = [ "x86_64-linux" ];
      forEach = build: builtins.listToAttrs (map (system: { name = system; value = build system; }) systems);
      reelgraph = forEach (system: import ./nix { inherit system toolchain; });
      pick = attribute: forEach (system: reelgraph.${system}.${attribute});
    in
    {
      lib = forEach (system: reelgraph.${system}.lib);
      packages = pick "packages";
      legacyPackages = pick "pipelines";
      apps = pick "apps";
      checks = pick "checks";
      devShells = forEach (system: import ./nix/shell.nix { pkgs = nixpkgs.legacyPackages.${system}; });
    };
}
