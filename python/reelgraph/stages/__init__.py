"""One script a stage: a function from inputs and parameters to one output directory."""

import sys

from reelgraph.determinism import restart_in_fixed_environment

# `python -m reelgraph.stages.NAME` comes here first; restarting before the stage is imported loads its libraries once.
if sys.argv[0] == "-m":
    restart_in_fixed_environment()
