"""A real RTSP server, run by the system's Python: the child process behind `rtsp_server.RtspServer`.

Reads the access units of a file once, then sends them to every client at the file's rate. Commands come line by
line on standard input (`freeze`, `resume`); its end, for whatever reason the parent is gone, ends the server.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def access_units(path: str, raw: bool) -> list[bytes]:
    """The file's H.264 access units."""
    demuxer = "" if raw else "qtdemux !"
    pipeline = Gst.parse_launch(
        f'filesrc location="{path}" ! {demuxer} h264parse config-interval=-1 ! '
        "video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=out sync=false max-buffers=0"
    )
    sink = pipeline.get_by_name("out")
    pipeline.set_state(Gst.State.PLAYING)
    units = []
    while (sample := sink.emit("pull-sample")) is not None:
        buffer = sample.get_buffer()
        units.append(buffer.extract_dup(0, buffer.get_size()))
    pipeline.set_state(Gst.State.NULL)
    if not units:
        sys.exit(f"no H.264 in {path}")
    return units


class Feed:
    """Pushes the units into one client's pipeline, at their rate."""

    def __init__(self, source: Any, units: list[bytes], args: argparse.Namespace, running: threading.Event) -> None:
        self.source, self.units, self.interval, self.loop = source, units, 1 / args.rate, args.loop
        self.hold_after, self.running = args.hold_after, running
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Push until the client or the file is at its end."""
        began, count = time.monotonic(), 0
        while not self.stopped.is_set():
            if count == len(self.units) and not self.loop:
                self.source.emit("end-of-stream")
                return
            buffer = Gst.Buffer.new_wrapped(self.units[count % len(self.units)])
            buffer.pts = buffer.dts = int(count * self.interval * Gst.SECOND)
            buffer.duration = int(self.interval * Gst.SECOND)
            if count == self.hold_after:
                self.running.clear()
            self.running.wait()
            if self.source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            count += 1
            self.stopped.wait(max(0.0, began + count * self.interval - time.monotonic()))


def serve(args: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    Gst.init(None)
    units = access_units(args.file, args.raw)
    running = threading.Event()
    running.set()

    def configure(_factory: Any, media: Any) -> None:
        source = media.get_element().get_by_name_recurse_up("src")
        feed = Feed(source, units, args, running)
        started: list[bool] = []

        def need_data(_source: Any, _length: int) -> None:
            if not started:
                started.append(True)
                feed.thread.start()

        source.connect("need-data", need_data)
        media.connect("unprepared", lambda _media: feed.stopped.set())

    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( appsrc name=src is-live=true format=time max-bytes=0 "
        "caps=video/x-h264,stream-format=byte-stream,alignment=au "
        # The parameter sets are in the units already. At -1 the payloader repeats them before each slice, where a
        # decoder takes them for the begin of the next picture (ITU-T H.264, 7.4.1.2.3).
        f"! h264parse ! rtph264pay name=pay0 pt=96 config-interval={-1 if args.repeat_headers else 0} )"
    )
    tcp, udp = GstRtsp.RTSPLowerTrans.TCP, GstRtsp.RTSPLowerTrans.UDP
    factory.set_protocols({"tcp": tcp, "udp": udp, "both": tcp | udp}[args.transport])
    factory.connect("media-configure", configure)
    server = GstRtspServer.RTSPServer()
    server.set_address(args.address)
    server.set_service(str(args.port))
    if args.user:
        protect(server, factory, args.user, args.password, digest=args.digest)
    server.get_mount_points().add_factory(args.path, factory)
    loop = GLib.MainLoop()
    if server.attach(None) == 0:
        sys.exit(f"port {args.port} is taken")
    commands = {"freeze": running.clear, "resume": running.set}

    def listen() -> None:
        for line in sys.stdin:
            commands[line.strip()]()
            print("DONE", flush=True)
        loop.quit()

    threading.Thread(target=listen, daemon=True).start()
    print(f"READY {server.get_bound_port()}", flush=True)
    loop.run()


def protect(server: Any, factory: Any, user: str, password: str, *, digest: bool) -> None:
    """Let in the one user only."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--raw", action="store_true", help="the file is a bare H.264 byte stream")
    parser.add_argument("--rate", type=float, default=25.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--path", default="/live")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--digest", action="store_true", help="the password is asked for by digest")
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--hold-after", type=int)
    parser.add_argument("--repeat-headers", action="store_true")
    parser.add_argument("--transport", choices=("tcp", "udp", "both"), default="both")
    serve(parser.parse_args())
