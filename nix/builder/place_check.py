"""Do nothing but write the nonce: where this ran is what counts."""

import os
from pathlib import Path

variables = dict(os.environ)
Path(variables["out"]).write_text(variables["nonce"] + "\n")
print(f"place-check: {variables['nonce']}", flush=True)
