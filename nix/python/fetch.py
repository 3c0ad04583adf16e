"""Fetch one locked file with pip, configured as the machine is, and put it at $out."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

# A source distribution is wanted as a file, never built: these stand in for the backends that pip asks for metadata.
BACKENDS = (
    "setuptools.build_meta",
    "scikit_build_core.build",
    "flit_core.buildapi",
    "hatchling.build",
    "poetry.core.masonry.api",
)
BACKEND = """
import os

def prepare_metadata_for_build_wheel(directory, settings=None):
    name, version = os.environ["requirement"].split(" ")[0].split("==")
    folder = f"{name}-{version}.dist-info"
    os.mkdir(os.path.join(directory, folder))
    with open(os.path.join(directory, folder, "METADATA"), "w") as stream:
        stream.write(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return folder

def build_wheel(*arguments):
    raise RuntimeError("not built, only fetched")

class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
    build_wheel = staticmethod(build_wheel)
"""


def write_backends(directory: Path) -> None:
    """Write a package for every known build backend below ``directory``."""
    for backend in BACKENDS:
        *packages, module = backend.split(".")
        folder = directory
        for package in packages:
            folder = folder / package
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        (folder / f"{module}.py").write_text(BACKEND)


def report() -> None:
    """Say every few seconds that a big file is still on its way."""
    start = time.monotonic()
    while True:
        time.sleep(5)
        print(f"{os.environ['name']}: fetching, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Run pip download with the machine's own configuration files in their usual places."""
    here = Path.cwd()
    for variable, folder in (
        ("REELGRAPH_PIP_CONFIG_SYSTEM", "system/pip"),
        ("REELGRAPH_PIP_CONFIG_USER", "home/.config/pip"),
    ):
        (here / folder).mkdir(parents=True)
        (here / folder / "pip.conf").write_text(os.environ.pop(variable, ""))
    requirement = os.environ["requirement"]
    (here / "requirements.txt").write_text(requirement + "\n")
    write_backends(here)
    wheel = os.environ["form"] == "wheel"
    choice = ["--only-binary", ":all:"] if wheel else ["--no-binary", ":all:", "--no-build-isolation", "--use-pep517"]
    environment = {name: value for name, value in os.environ.items() if value or not name.startswith("PIP_")}
    environment |= {
        "HOME": str(here / "home"),
        "XDG_CONFIG_DIRS": str(here / "system"),
        "PYTHONPATH": ":".join([os.environ["pip"], *([] if wheel else [str(here)])]),
        "PIP_CERT": os.environ["certificates"],
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    command = [sys.executable, "-m", "pip", "--no-cache-dir", "download", "-qq", "--no-deps", "--require-hashes"]
    finished = subprocess.run(
        [*command, *choice, "--dest", "download", "-r", "requirements.txt"], env=environment, check=False
    )
    files = list(Path("download").iterdir()) if finished.returncode == 0 else []
    if len(files) != 1:
        sys.exit(
            f"reelgraph: {requirement.split(' ')[0]}: could not be fetched with the locked hash "
            "from this machine's package index"
        )
    shutil.copyfile(files[0], os.environ["out"])


threading.Thread(target=report, daemon=True).start()
main()
