"""Unpack one wheel and compile its bytecode (unchecked hashes: the store resets modification times)."""

import compileall
import os
import py_compile
import sys
import threading
import time
import zipfile
from pathlib import Path

out, wheel = Path(os.environ["out"]), os.environ["wheel"]
site = out / "lib/python3.11/site-packages"
site.mkdir(parents=True)
start = time.monotonic()


def report() -> None:
    """Say every few seconds that a big wheel is still being unpacked."""
    while True:
        time.sleep(5)
        print(f"{os.environ['name']}: unpacking and compiling, {time.monotonic() - start:.0f} s", file=sys.stderr)


threading.Thread(target=report, daemon=True).start()
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        first, _, rest = entry.filename.partition("/")
        folder = site
        if first.endswith(".data"):
            scheme, _, rest = rest.partition("/")
            folder = {"purelib": site, "platlib": site, "scripts": out / "bin", "data": out}.get(
                scheme, out / "share" / scheme
            )
        target = folder / (rest if first.endswith(".data") else entry.filename)
        if entry.is_dir():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("wb") as stream:
            while piece := source.read(1 << 22):
                stream.write(piece)
        if folder == out / "bin" or entry.external_attr >> 16 & 0o100:
            target.chmod(0o755)
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
# Some wheels ship templates that are not Python 3.11; what cannot be compiled cannot be imported either.
compileall.compile_dir(site, quiet=2, maxlevels=30, invalidation_mode=unchecked)
