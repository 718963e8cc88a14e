"""A real RTSP server that takes what is pushed to it (ANNOUNCE, RECORD), run by the system's Python.

What comes is written to a Matroska file. Ends with its standard input.
"""

from __future__ import annotations

import argparse
import sys
import threading
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def serve(args: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    Gst.init(None)
    sound = "" if args.mute else "rtpmp4gdepay name=depay1 ! aacparse ! queue ! mux. "
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(
        "( rtph264depay name=depay0 ! h264parse config-interval=-1 "
        "! queue ! matroskamux name=mux streamable=true "
        f'! filesink location="{args.file}" sync=false async=false {sound})'
    )
    factory.set_latency(200)
    if args.user:
        permissions = GstRtspServer.RTSPPermissions()
        for right in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role("user", right, True)
        factory.set_permissions(permissions)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(args.port))
    if args.user:
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(args.user, args.password, token)
        server.set_auth(auth)
    server.get_mount_points().add_factory("/in", factory)

    def client_connected(_server: Any, client: Any) -> None:
        client.connect("record-request", lambda *_: print("RECORD", flush=True))

    server.connect("client-connected", client_connected)
    loop = GLib.MainLoop()
    if server.attach(None) == 0:
        sys.exit(f"port {args.port} is taken")

    def listen() -> None:
        sys.stdin.read()
        loop.quit()

    threading.Thread(target=listen, daemon=True).start()
    print(f"READY {server.get_bound_port()}", flush=True)
    loop.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--mute", action="store_true", help="expect no sound")
    serve(parser.parse_args())
