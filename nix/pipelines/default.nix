{ mkPipeline, mkStage, materials }: { }
