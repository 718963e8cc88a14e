"""Names of the processors at hand, for manifests and for `streamguard doctor`."""

from __future__ import annotations

import platform
from functools import cache
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


def cuda_name() -> str | None:
    """The first CUDA device's name and compute capability; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability(0)
    return f"{torch.cuda.get_device_name(0)} (sm_{major}{minor})"
