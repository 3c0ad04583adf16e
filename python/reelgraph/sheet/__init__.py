"""The contact sheet of an episode."""
