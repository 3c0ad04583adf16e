"""Compile Triton's C module, start its ptxas by the toolchain's loader, and have its settings name both."""

import os
import py_compile
import subprocess
import sys
import sysconfig
from pathlib import Path

SITE = "lib/python3.11/site-packages"
variables = dict(os.environ)
source, out = Path(variables["triton"], SITE, "triton"), Path(variables["out"], SITE, "triton")
nvidia = out / "backends/nvidia"
module = nvidia / f"cuda_utils{sysconfig.get_config_var('EXT_SUFFIX')}"
SETTINGS = {
    'env_opt_str("TRITON_LIBCUDA_PATH")': f'env_str("TRITON_LIBCUDA_PATH", "{variables["driver"]}")',
    # A build has no home, and what it compiles goes with it.
    'os.path.expanduser("~/")': 'os.environ.get("NIX_BUILD_TOP") or os.path.expanduser("~/")',
    "    impl: Optional[BuildImpl] = None\n": f'''
    @staticmethod
    def impl(name, src, *_):
        """Return the module that was compiled ahead; here is no compiler for any other."""
        if name != "cuda_utils":
            raise RuntimeError(f"{{src}}: only Triton's cuda_utils is compiled ahead; set triton.knobs.build.impl")
        return "{module}"
''',
}


def compile_with_zig(*arguments: str | Path) -> None:
    """Call zig as a C compiler whose caches go with the build."""
    caches = {name: os.getcwd() for name in ("HOME", "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    subprocess.run(
        [variables["zig"], "cc", "-target", variables["target"], "-shared", "-fPIC", *arguments], env=caches, check=True
    )


nvidia.mkdir(parents=True)
# The driver comes with the machine; linking needs a library of its name and nothing in it.
Path("empty.c").touch()
compile_with_zig("-nostdlib", "-Wl,-soname,libcuda.so.1", "-o", "libcuda.so.1", "empty.c")
options = ["-O3", "-g0", "-s", "-Wno-macro-redefined"]
folders = ["-I", source / "backends/nvidia/include", "-I", variables["headers"]]
links = ["-Wl,-z,lazy", "-L.", "-Wl,--no-as-needed", "-l:libcuda.so.1"]
compile_with_zig(*options, *folders, "-o", module, source / "backends/nvidia/driver.c", *links)

(nvidia / "bin").mkdir()
for program in sorted((source / "backends/nvidia/bin").glob("ptxas*")):
    start = nvidia / "bin" / program.name
    arguments = f'--library-path {variables["libraries"]} {program} "$@"'
    start.write_text(f"#!{variables['shell']}\nexec {variables['loader']} {arguments}\n")
    start.chmod(0o755)

text = (source / "knobs.py").read_text()
for old, new in SETTINGS.items():
    if text.count(old) != 1:
        sys.exit(f"reelgraph: triton/knobs.py must have '{old.strip()}' once; adapt nix/python/triton.py to it")
    text = text.replace(old, new)
(out / "knobs.py").write_text(text)
# Else the bytecode of Triton's own file would be used.
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
py_compile.compile(str(out / "knobs.py"), doraise=True, invalidation_mode=unchecked)
