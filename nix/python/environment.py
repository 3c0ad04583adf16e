"""Join unpacked wheels by symbolic links into one environment, laid out as a venv."""

import os
import sys
from pathlib import Path

out, home = Path(os.environ["out"]), os.environ["pythonHome"]


def link(source: str, target: str) -> None:
    """Link every file below ``source``; folders are real, since libraries find each other by $ORIGIN/../…"""
    os.makedirs(target, exist_ok=True)
    for entry in os.scandir(source):
        path = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            link(entry.path, path)
        elif not os.path.lexists(path):
            os.symlink(entry.path, path)
        elif "dist-info" not in path and entry.name != "__init__.py" and "__pycache__" not in path:
            print(f"{entry.path}: another package has this file too; the first stays", file=sys.stderr)


for package in os.environ["packages"].split():
    for folder in ("lib", "bin"):
        if os.path.isdir(f"{package}/{folder}"):
            link(f"{package}/{folder}", str(out / folder))

(out / "bin").mkdir(parents=True, exist_ok=True)
(out / "pyvenv.cfg").write_text(f"home = {home}/bin\ninclude-system-site-packages = false\n")
start = (
    f'exec {os.environ["loader"]} --argv0 "$0" --library-path {os.environ["libraries"]} {home}/bin/python3.11 "$@"\n'
)
for name in ("python3.11", "python3", "python"):
    program = out / "bin" / name
    program.write_text(f"#!{os.environ['shell']}\n{start}")
    program.chmod(0o755)
