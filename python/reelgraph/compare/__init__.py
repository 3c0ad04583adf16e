"""Two results side by side: packages, captions, checkpoints, or whole bundles of these."""
