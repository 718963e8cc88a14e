"""OpenVINO is used without its usage reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import socket
import sys


def refuse(*_, **__):
    raise AssertionError("somebody wants to use the network")


socket.getaddrinfo = socket.socket.connect = refuse
from streamguard.inference import EngineOptions, find_factory, parity_crops
from tests.inference.conftest import small_model
from pathlib import Path

factory = find_factory("openvino")
options = EngineOptions(threads=1)
factory.compile(small_model(), options, Path(sys.argv[1]))
factory.load(small_model(), options, Path(sys.argv[1])).infer(parity_crops()[:1])
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
from openvino.tools import ovc
assert ovc.telemetry.__class__.__module__ == "openvino.tools.ovc.telemetry_stub"
"""


def test_nothing_is_reported(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    script = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    run = subprocess.run(
        script, env={"HOME": str(home), "PATH": ""}, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert not list(home.iterdir())


TWO_THREADS = """
import builtins
import threading
import time

from streamguard.openvino_runtime import openvino

module = openvino()
importing, import_ = threading.Event(), builtins.__import__


def slowly(*args, **more):
    # Whoever imports inside OpenVINO's own code gives way to the other thread there.
    importing.set()
    time.sleep(0.2)
    return import_(*args, **more)


def use(wait):
    importing.wait(wait)
    module.Type.u8.to_dtype()


builtins.__import__ = slowly
threads = [threading.Thread(target=use, args=(wait,), daemon=True) for wait in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("both")
"""


def test_two_threads_may_begin_at_the_same_moment() -> None:
    script = [sys.executable, "-c", TWO_THREADS]
    run = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (0, "both\n"), run.stderr
