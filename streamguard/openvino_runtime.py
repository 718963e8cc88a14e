"""The one door to OpenVINO: without its usage reports.

Importing `openvino` imports its conversion tools, which report to their makers over the network and leave a client id
in the home folder unless the package `openvino_telemetry` is missing. A guard over people's faces speaks to nobody it
was not told to, so that package is hidden while `openvino` is imported. Import `openvino` through here only.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

_REPORTER = "openvino_telemetry"
_ONE_AT_A_TIME = threading.Lock()


@cache
def openvino() -> Any:
    """The module `openvino`.

    Raises:
        ImportError: it is not installed, or does not load here.
    """
    # Two streams that begin at the same moment ask from two threads.
    with _ONE_AT_A_TIME:
        with _no_reporter():
            import openvino as module
        # Its first use of numpy waits for a lock of its own with Python's held: two threads that come to it at the
        # same moment stop each other, and with them the whole process, for ever.
        module.Tensor(np.zeros(1, np.uint8), shared_memory=True).element_type.to_dtype()
    return module


@cache
def nncf() -> Any:
    """The module `nncf`, which quantises OpenVINO's graphs; it reports to the same makers.

    Raises:
        ImportError: it is not installed, or does not load here.
    """
    openvino()
    with _ONE_AT_A_TIME, _no_reporter():
        import nncf as module
    return module


@contextmanager
def _no_reporter() -> Iterator[None]:
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == _REPORTER}
    # None makes its import fail, which the tools take for "not installed".
    sys.modules[_REPORTER] = None  # type: ignore[assignment]  # typed as if it held modules only
    try:
        yield
    finally:
        del sys.modules[_REPORTER]
        sys.modules.update(hidden)


@cache
def core() -> Any:
    """The process's `openvino.Core`: devices are looked up once.

    Raises:
        ImportError: OpenVINO is not installed, or does not load here.
    """
    return openvino().Core()
