# builder : { nixpkgs, disko } -> { module, cudaBuilder, example }
#
# The rented machine's configuration; nixpkgs and disko are only fetched where one of these is evaluated.
#
#   module       NixOS module of a CUDA builder, for a machine of your own
#   cudaBuilder  machine.json's value -> the whole configuration of a rented machine
#   example      such a value, with names and addresses that are kept for documentation
#
# Example: (import ./builder { inherit (inputs) nixpkgs disko; }).cudaBuilder (builtins.fromJSON (builtins.readFile ./machine.json))
{ nixpkgs, disko }:
rec {
  module = ./cuda-builder.nix;
  cudaBuilder =
    machine:
    nixpkgs.lib.nixosSystem {
      modules = [
        disko.nixosModules.disko
        module
        (import ./machine.nix machine)
        {
          nixpkgs.hostPlatform = "x86_64-linux";
          system.stateVersion = "26.05";
          reelgraph.cudaBuilder = {
            inherit (machine) gpu;
            authorizedKeys = machine.authorized_keys;
            nixRelease = machine.nix_release;
          };
        }
      ];
    };
  example = builtins.fromJSON (builtins.readFile ./machine.example.json);
}
