"""The runbook's tasks: the list of nix/tasks.nix, and running one with those before it."""
