{
  description = "Reelgraph: from licensed episodes to a Wan2.2 LoRA checkpoint, one content-addressed derivation a stage";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # Where CPython and the C runtime come from: nixpkgs, or what nixw made of this machine's own.
    toolchain.follows = "nixpkgs";
    # Only for the rented machine's disks.
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    { nixpkgs, toolchain, disko, ... }:
    let
      systems = [ "x86_64-linux" ];
      forEach = build: builtins.listToAttrs (map (system: { name = system; value = build system; }) systems);
      reelgraph = forEach (system: import ./nix { inherit system toolchain; });
      builder = import ./nix/builder { inherit nixpkgs disko; };
      pick = attribute: forEach (system: reelgraph.${system}.${attribute});
    in
    {
      lib = forEach (system: reelgraph.${system}.lib // { inherit (builder) cudaBuilder; });
      packages = pick "packages";
      legacyPackages = pick "pipelines";
      apps = pick "apps";
      checks = pick "checks";
      nixosModules.cuda-builder = builder.module;
      nixosConfigurations.cuda-builder = builder.cudaBuilder builder.example;
      # Nix's `develop` wants a bash, which only nixpkgs has; nixw opens the app `shell` instead.
      devShells = forEach (
        system: if toolchain ? embedded then { } else reelgraph.${system}.devShells nixpkgs.legacyPackages.${system}
      );
    };
}
