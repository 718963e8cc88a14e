"""Names of the processors at hand, for manifests and for `streamguard doctor`."""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's model name with the matrix instructions that decide which engine files fit it."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            name = value
        elif key in {"flags", "Features"}:
            flags = set(value.split())
            break
    matrix = [flag for flag in ("amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx2") if flag in flags]
    return f"{name} ({', '.join(matrix)})" if matrix else name


@cache
def cuda_available() -> bool:
    """Return whether PyTorch can compute on a CUDA device; it is imported only where there may be one."""
    if metadata.version("torch").endswith("+cpu"):
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


def cuda_name() -> str | None:
    """The first CUDA device's name and compute capability; None without one."""
    if not cuda_available():
        return None
    import torch

    major, minor = torch.cuda.get_device_capability(0)
    return f"{torch.cuda.get_device_name(0)} (sm_{major}{minor})"


def cuda_version() -> str:
    """Version of CUDA that PyTorch was built for; `None` of a CPU build."""
    if not cuda_available():
        return str(None)
    import torch

    return str(torch.version.cuda)
