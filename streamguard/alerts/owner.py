"""Owner of a delivery: this process, distinct from every other one and from earlier runs."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def this_owner() -> str:
    """A name for a worker of this process: machine boot, process namespace, process id, start time, a number."""
    pid = os.getpid()
    return f"{_place()}:{pid}:{_started(pid)}:{secrets.token_hex(4)}"


def is_gone(owner: str) -> bool:
    """Return whether the owner is a process of this machine, seen from here, that has ended.

    Owners on other machines, or in other containers, are never known to be gone: their leases run out.
    """
    place, _, rest = owner.partition(":")
    pid, _, rest = rest.partition(":")
    if place != _place() or not pid.isdigit():
        return False
    return _started(int(pid)) != rest.partition(":")[0]


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        # Such an owner is never taken for gone.
        return f"unknown-{secrets.token_hex(8)}"


def _started(pid: int) -> str:
    """The start time of a process in clock ticks since boot; empty when there is no such process, or only its shell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # A killed process that its parent has not yet waited for does no work.
    return "" if fields[0] in {"Z", "X"} else fields[19]
