# reelgraph : { toolchain, system } -> { lib, packages, pipelines, apps, checks, devShells }
#
# Everything that flake.nix offers for one system.
{ toolchain, system }:
let
  python = import ./python {
    inherit system;
    toolchain = import ./toolchain { inherit toolchain system; };
    locks = ../python/locks;
  };
  licences = import ./licences.nix { };
  materials = import ./materials.nix {
    inherit python;
    inherit (licences) mark;
  };
  models = import ./models {
    inherit python;
    inherit (licences) permit;
  };
  # Some packages carry weights or fonts.
  worksOf =
    environment: licences.inPackages (map (wheel: wheel.name) (import ./python/lock.nix (../python/locks + "/${system}/${environment}.txt")));
  stages = import ./stages;
  mkStage = import ./stage.nix {
    inherit system stages licences;
    environments = builtins.mapAttrs (name: environment: environment // { works = worksOf name; }) python.environments;
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
    master = import ./master.nix {
      inherit (python) script;
      inherit (licences) mark;
    };
  };
  pipelines = builtins.mapAttrs (_: mkPipeline) specifications;
  described = description: derivation: derivation // { meta = { inherit description; }; };
  bundles = {
    wan22-smoke = described "A LoRA, samples and a report from a real animated film and toy models, on a CPU" pipelines.smoke.bundle;
    ltx2-smoke = described "The same for LTX-2, which draws video with sound" pipelines.smoke-ltx2.bundle;
    wan22-smoke-cuda = described "The same with the toy models computed on a CUDA builder" pipelines.smoke-cuda.bundle;
  };
  packages = bundles // {
    default = bundles.wan22-smoke;
  };
in
{
  inherit packages;
  pipelines = pipelines // {
    inherit models;
  };
  checks = { inherit (packages) wan22-smoke; };
  lib = {
    inherit
      mkStage
      mkPipeline
      stages
      materials
      models
      licences
      python
      specifications
      ;
    # Only with --impure: a validation that could be cached would show what was true before.
    builderValidation = import ./builder/validation.nix {
      inherit (python) script;
      python = python.environments.runner;
    } { nonce = builtins.getEnv "REEL_VALIDATION_NONCE"; };
  };
  apps = import ./apps.nix { inherit python; };
  devShells = pkgs: import ./shell.nix { inherit pkgs; checkout = import ./checkout.nix { inherit python; }; };
}
