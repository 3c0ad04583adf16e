"""reel: everything that is not a build."""
