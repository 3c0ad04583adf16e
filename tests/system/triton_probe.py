"""What Triton does for a kernel on a GPU, inside a build and with a driver that only writes down what it is asked."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import triton
import triton.language as tl
from triton.runtime.build import compile_module_from_file

BUILD = dict(os.environ)
# A card of compute capability 9.0; what is not named here does nothing and succeeds.
DRIVER = """
#include <stdio.h>
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 10 ? 32 : 232448;
  return 0;
}
int cuFuncGetAttribute(int *value, int attribute, void *function) { *value = attribute ? 0 : 1024; return 0; }
int cuModuleLoadData(void **module, const char *image) {
  FILE *file = fopen("image", "wb"); fwrite(image, 1, 4, file); fclose(file);
  *module = (void *)1; return 0;
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
  FILE *file = fopen("name", "w"); fputs(name, file); fclose(file);
  *function = (void *)1; return 0;
}
int cuLaunchKernelEx(const unsigned *config, void *function, void **arguments, void **extra) {
  FILE *file = fopen("launch", "w"); fprintf(file, "%u %d", config[0], *(int *)arguments[0]); fclose(file);
  return 0;
}
"""


@triton.jit
def kernel(number, size: tl.constexpr):
    """Compute something that is not used."""
    tl.device_print("sum", tl.sum(tl.arange(0, size)) + number)


def write_driver(source: Path) -> None:
    """Compile a libcuda that has every function which Triton's module may ask for, and load it."""
    called = set(re.findall(r"\bcu[A-Z]\w+", source.read_text())) - set(re.findall(r"\bcu[A-Z]\w+", DRIVER))
    rest = "".join(f"int {name}(void) {{ return 0; }}\n" for name in sorted({*called, "cuInit"}))
    Path("driver.c").write_text(DRIVER + rest)
    compiler = [f"{BUILD['compiler']}/bin/python3.11", "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu"]
    names = ["-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1", "-o", "libcuda.so.1", "driver.c"]
    subprocess.run([*compiler, *names], env={"HOME": os.getcwd()}, check=True)
    ctypes.CDLL(os.path.abspath("libcuda.so.1"))


def main() -> None:
    """Load the module by Triton's own step, compile and launch a kernel, and write down what the driver saw."""
    folder = Path(triton.__file__).parent / "backends/nvidia"
    write_driver(folder / "driver.c")
    module = compile_module_from_file(str((folder / "driver.c").resolve()), "cuda_utils", libraries=["libcuda.so.1"])
    # Else AMD's backend imports torch, and torch knows that this driver is none.
    os.environ["TRITON_DEFAULT_BACKEND"] = "nvidia"
    kernel[(7,)](5, 16)
    result = {
        "compilers": [name for name in ("cc", "gcc", "clang", "c++", "g++", "clang++") if shutil.which(name)],
        "functions": [name for name in ("launch", "load_binary") if callable(getattr(module, name, None))],
        "loaded": Path("image").read_bytes().decode("latin1"),
        "kernel": Path("name").read_text(),
        "launch": Path("launch").read_text(),
        "cache": Path(triton.knobs.cache.dir).relative_to(BUILD["NIX_BUILD_TOP"]).as_posix(),
    }
    Path(BUILD["out"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
