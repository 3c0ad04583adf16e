# pipelines : { mkStage, stages, materials, models } -> { <name> = specification; }
arguments: {
  smoke = import ./smoke.nix arguments;
}
