"""Stands for a fork of `warm`: passes its streams and signals on, and ends as the fork ends."""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
    connection.connect(sys.argv[1])
    for each in PASSED_ON:
        signal.signal(each, lambda number, _: connection.send(str(number).encode()))
    request = {"arguments": sys.argv[2:], "cwd": os.getcwd(), "env": dict(os.environ)}
    socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
    # The fork alone holds them open from here on.
    for number in (0, 1, 2):
        os.close(number)
    code = int(connection.recv(16) or -signal.SIGKILL)
if code < 0:
    if -code in PASSED_ON:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
