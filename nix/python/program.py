"""Write $text to $out/bin/$program."""

import os
from pathlib import Path

program = Path(os.environ["out"]) / "bin" / os.environ["program"]
program.parent.mkdir(parents=True)
program.write_text(os.environ["text"])
program.chmod(0o755)
