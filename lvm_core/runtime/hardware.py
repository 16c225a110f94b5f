"""What this machine can do: device, arithmetic, threads, products, and the processor features that shape results."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lvm_core.runtime.errors import LvmError

if TYPE_CHECKING:  # stages that need no torch set their threads too
    import torch


SHAPING_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""Processor flags that change which kernels run, and with them the last bits of a result."""

SHAPING_VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES"),
    *("ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE"),
)
"""Variables of the environment by which numeric libraries treat a processor as another one."""


def processor_features(cpuinfo: str | Path = "/proc/cpuinfo") -> list[str]:
    """Those of `SHAPING_FEATURES` that the processor has (none where the system does not tell), sorted, and those of
    `SHAPING_VARIABLES` that are set, as NAME=value.
    """
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", _cpuinfo(cpuinfo), re.MULTILINE)
    has = set(flags.group(1).split()) & set(SHAPING_FEATURES) if flags else set()
    return sorted(has) + [f"{name}={os.environ[name]}" for name in SHAPING_VARIABLES if name in os.environ]


def _cpuinfo(path: str | Path) -> str:
    """What the system tells of the processor; nothing where it does not."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def resolve_device(device: str, number: int | None = None) -> torch.device:
    """`auto` -> the first GPU if there is one, else the processor. An LvmError where a GPU is asked for in vain.

    `number` is that of the GPU for this process, where several share the work; None: torch's choice, or `device`'s.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise LvmError(f"params.yaml: device = {device!r}: no GPU is visible here; set device: auto or cpu")
    if number is not None and device.startswith("cuda"):
        return torch.device("cuda", number)
    return torch.device(device)


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` -> `bf16` where the device multiplies bf16 faster than float32, else `fp32`."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        import torch

        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if bf16_is_faster() else "fp32"


def bf16_is_faster(cpuinfo: str | Path = "/proc/cpuinfo") -> bool:
    """Whether a processor multiplies bf16 faster than float32: with AMX, an ARM with bf16, an AMD with AVX-512 BF16.

    An Intel processor with AVX-512 BF16 and no AMX multiplies it at half of float32's rate: on a Sapphire Rapids whose
    AMX was hidden, training and encoding took 1.4 times as long in bf16 (docs/speed.md).
    """
    has = set(processor_features(cpuinfo))
    return bool({"amx_bf16", "bf16"} & has) or ("avx512_bf16" in has and "AuthenticAMD" in _cpuinfo(cpuinfo))


def use_threads(threads: int) -> None:
    """Fix the thread count of torch, BLAS and OpenMP for this process, whatever the environment says.

    Sums depend on how many threads share them: OMP_DYNAMIC and OMP_MAX_ACTIVE_LEVELS, which let OpenMP take fewer, are
    overruled; an OMP_THREAD_LIMIT that allows fewer, which nothing can overrule, is an LvmError.
    """
    import torch
    from threadpoolctl import ThreadpoolController

    set_threads(threads)
    torch.set_num_threads(threads)
    for library in ThreadpoolController().select(user_api="openmp").lib_controllers:
        library.dynlib.omp_set_dynamic(0)
        library.dynlib.omp_set_max_active_levels(1)
        if (limit := library.dynlib.omp_get_thread_limit()) < threads:
            raise LvmError(
                f"OMP_THREAD_LIMIT = {limit} in the environment allows fewer threads than params.yaml, which sets "
                f"{threads}, and fewer would change the results; unset it"
            )


def set_threads(threads: int) -> None:
    """Fix the thread count of BLAS and OpenMP, for libraries loaded already and later (torch has its own call)."""
    from threadpoolctl import threadpool_limits

    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    threadpool_limits(limits=threads)


def product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """Left [A, D] times right [B, D] transposed, both float32 on one device -> [A, B].

    On a processor numpy multiplies: its OpenBLAS takes two thirds of the time of torch's MKL on AMD processors, and a
    quarter for a single row (benchmarks/bench_retrieval.py). It goes into `out` [A, B], contiguous, if there is one:
    fresh memory for each block costs as much as counting in it.
    """
    import torch

    if left.device.type != "cpu":
        return torch.matmul(left, right.T, out=out)
    return torch.from_numpy(np.matmul(left.numpy(), right.numpy().T, out=None if out is None else out.numpy()))
