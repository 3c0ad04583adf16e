# pipelines : { mkPipeline, mkStage, stages, materials, models } -> { <name> = pipeline; }
arguments: {
  smoke = arguments.mkPipeline (import ./smoke.nix arguments);
}
