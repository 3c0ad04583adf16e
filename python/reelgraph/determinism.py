"""The process environment under which a stage gives the same bytes on every machine.

CPU kernels of the numeric libraries are pinned to AVX2: on a machine with AVX-512 they would otherwise choose
other kernels, which round differently. Reductions are split by the number of threads, so that is fixed too, and to one:
Nix runs stages beside each other, and OpenMP threads that wait for a busy core made small models 30 times slower.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import time_machine

# What a stage reads from any clock of Python's but the monotonic one; zip archives hold no year before 1980.
FIXED_TIME = datetime(2000, 1, 1, tzinfo=UTC)
FIXED_ENVIRONMENT = {
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "CT2_FORCE_CPU_ISA": "AVX2",
    # CTranslate2 would take MKL on Intel's processors and oneDNN on AMD's.
    "CT2_USE_MKL": "0",
    # Without these, glibc gives big buffers back and clears them again at each use: a quarter of an encoder's time.
    "MALLOC_MMAP_THRESHOLD_": "268435456",
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "TORCHINDUCTOR_DETERMINISTIC": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DIFFSYNTH_SKIP_DOWNLOAD": "True",
    "TOKENIZERS_PARALLELISM": "false",
}


def restart_in_fixed_environment() -> None:
    """Replace this process by itself under FIXED_ENVIRONMENT, unless it already runs there.

    The libraries read these variables when they are loaded, and Python its hash seed when it starts, so setting them
    later would do nothing.
    """
    if any(os.environ.get(name) != value for name, value in FIXED_ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **FIXED_ENVIRONMENT})


def stop_clock() -> None:
    """Make time.time(), datetime.now() and their kin read FIXED_TIME in this process from now on."""
    time_machine.travel(FIXED_TIME, tick=False).start()
