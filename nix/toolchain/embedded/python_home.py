"""Lay out the seed's CPython with its standard library compiled."""

import compileall
import os
import py_compile
import shutil
from pathlib import Path

seed, out = Path(os.environ["seed"]), Path(os.environ["out"])
(out / "bin").mkdir(parents=True)
shutil.copy(seed / "bin/python3.11", out / "bin/python3.11")
shutil.copytree(seed / "lib/python3.11", out / "lib/python3.11")
for folder in [out, *(path for path in out.rglob("*") if path.is_dir())]:
    folder.chmod(0o755)
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir(out / "lib/python3.11", quiet=1, maxlevels=20, invalidation_mode=unchecked)
