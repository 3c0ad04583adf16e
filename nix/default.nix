# reelgraph : { toolchain, system } -> { lib, packages, pipelines, apps, checks }
#
# Everything that flake.nix offers for one system.
{ toolchain, system }:
let
  python = import ./python {
    inherit system;
    toolchain = import ./toolchain { inherit toolchain system; };
    locks = ../python/locks;
  };
  materials = import ./materials.nix { inherit python; };
  models = import ./models.nix { inherit python; };
  stages = import ./stages;
  mkStage = import ./stage.nix {
    inherit system stages;
    inherit (python) environments;
    code = ../python;
  };
  mkPipeline = import ./graph.nix {
    inherit mkStage stages;
    inherit (python) links;
  };
  specifications = import ./pipelines {
    inherit
      mkStage
      stages
      materials
      models
      ;
  };
  pipelines = builtins.mapAttrs (_: mkPipeline) specifications;
  packages = {
    wan22-smoke = pipelines.smoke.bundle;
    default = pipelines.smoke.bundle;
  };
in
{
  inherit pipelines packages;
  checks = { inherit (packages) wan22-smoke; };
  lib = {
    inherit
      mkStage
      mkPipeline
      stages
      materials
      models
      python
      specifications
      ;
  };
  apps = import ./apps.nix { inherit python; };
}
