"""What would be built, what is built, and why: the graph of stages as Nix sees it, read without building."""
