"""Say how a model's file comes into the store; the build of one that is there already never starts."""

import os
import sys

sys.exit(f"reelgraph: {os.environ['missing']}")
