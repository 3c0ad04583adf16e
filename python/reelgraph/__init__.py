"""Reelgraph: from licensed episodes to a Wan2.2 LoRA checkpoint, one content-addressed derivation a stage."""
