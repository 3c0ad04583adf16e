"""How exactly torch computes, on CPU and CUDA, for the rest of the process."""

from __future__ import annotations

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def compute_strictly(profile: str = "exact") -> None:
    """Make torch take deterministic kernels or fail, on CPU and CUDA, for the rest of the process.

    Under the profile ``fast`` only kernels that CUDA chooses itself may differ from run to run.
    """
    torch.use_deterministic_algorithms(profile == "exact")
    # It fills fresh memory with NaN in this mode, which costs time and changes no result that is used.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
