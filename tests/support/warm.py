"""Processes of this Python without the seconds that imports take: forked from one that has imported all of it.

`warm_python()` stands for `sys.executable` in a command line. What starts is a small process that hands arguments,
folder, environment, streams and signals over to a fork and ends as the fork ends. Tests that kill with SIGKILL, or that
test the start itself, start a real interpreter.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LONGEST = 1 << 20
"""Bytes of a request."""
_OF_SOME_COMMANDS = ("sklearn.metrics", "skimage.transform", "supervision", "torch.utils.tensorboard")
"""Modules that a command imports only once it needs them."""

_server: subprocess.Popen[bytes] | None = None
_address = ""


def warm_python() -> list[str]:
    """Return the begin of a command line whose `-m module`, `-c code` or script runs in a fork of one parent."""
    global _server, _address  # noqa: PLW0603
    if _server is None:
        _address = os.path.join(tempfile.mkdtemp(prefix="warm"), "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(_address)
            listener.listen(64)
            command = [sys.executable, "-m", __name__, str(listener.fileno()), str(os.getpid())]
            # A Ctrl-C of the terminal is for the processes that stand for the forks.
            _server = subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()], start_new_session=True)
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("warm_client.py")), _address]


def warm_parent() -> set[str]:
    """Process id of the parent of all forks, which stays for the session."""
    return {str(_server.pid)} if _server else set()


def end_warm_parent() -> None:
    """End the parent of all forks."""
    global _server  # noqa: PLW0603
    if _server is not None:
        _server.terminate()
        _server.wait()
        _server = None
        os.unlink(_address)
        os.rmdir(os.path.dirname(_address))


def _import_all() -> None:
    import streamguard

    for module in pkgutil.walk_packages(streamguard.__path__, "streamguard."):
        # The commands' own modules look at the terminal, and are light.
        if not module.name.startswith(("streamguard.cli.", "streamguard.__main__", "streamguard.alerts.migrations.")):
            importlib.import_module(module.name)
    for name in _OF_SOME_COMMANDS:
        importlib.import_module(name)
    gc.collect()
    # The collector writes to what it looks at, and each fork would copy it.
    gc.freeze()


def _forked(listener: socket.socket, parent: int) -> dict[str, Any] | None:
    """Fork for each request; the request in a fork, None when the tests have ended."""
    listener.settimeout(1.0)
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if os.getppid() != parent:
                return None
            continue
        with connection:
            connection.setblocking(True)
            request, streams, _, _ = socket.recv_fds(connection, LONGEST, 3)
            if request and not os.fork():
                listener.close()
                if (child := os.fork()) == 0:
                    asked: dict[str, Any] = json.loads(request)
                    _become(asked, streams)
                    return asked
                _keep(child, connection, streams)
            for each in streams:
                os.close(each)


def _keep(child: int, connection: socket.socket, streams: Sequence[int]) -> None:
    """Pass signals on to a fork until it ends, and its end back; it is killed with the process that stands for it."""
    for each in (0, 1, 2, *streams):
        os.close(each)
    ended = os.pidfd_open(child)
    while ended not in select.select([connection.fileno(), ended], [], [])[0]:
        os.kill(child, int(connection.recv(16) or signal.SIGKILL))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        connection.send(str(code).encode())
    os._exit(0)


def _become(asked: dict[str, Any], streams: Sequence[int]) -> None:
    for number, file in enumerate(streams):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])


def _run(arguments: list[str]) -> None:
    """Run what follows `python` in a command line."""
    kind, *rest = arguments
    if kind == "-m":
        sys.argv, sys.path[0] = rest, os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv, sys.path[0] = [kind, *rest], str(Path(kind).parent)
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as at:
        _import_all()
        wanted = _forked(at, int(sys.argv[2]))
    if wanted is not None:
        _run(wanted["arguments"])
