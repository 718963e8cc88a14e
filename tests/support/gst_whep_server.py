"""A WHEP endpoint made of GStreamer's `webrtcbin`, run by the system's Python: a bouncing ball, 320x240, 20 a second.

Prints `LISTENS port`, then `OPENED` and `DELETED` for each session; ends with 77 where GStreamer lacks what it needs.
"""

from __future__ import annotations

import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MISSING = 77
PATIENCE = 20.0
SOURCE = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=20/1 ! "
ENCODERS = {
    "VP8": ("vp8enc deadline=1 keyframe-max-dist=20 ! rtpvp8pay", ("vp8enc", "rtpvp8pay")),
    "H264": (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 bframes=0 ! "
        "video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1",
        ("x264enc", "rtph264pay"),
    ),
}

try:
    import gi

    for name in ("Gst", "GstWebRTC", "GstSdp"):
        gi.require_version(name, "1.0")
    from gi.repository import Gst, GstSdp, GstWebRTC
except (ImportError, ValueError) as error:
    print(f"MISSING {error}", flush=True)
    sys.exit(MISSING)


def payload_of(offer: str, codec: str) -> int:
    """The payload type under which the offer takes the codec."""
    for payload in re.findall(rf"a=rtpmap:(\d+) {codec}/90000", offer):
        modes = re.findall(rf"a=fmtp:{payload} (.*)", offer)
        if codec != "H264" or any("packetization-mode=1" in mode and "42e01f" in mode.lower() for mode in modes):
            return int(payload)
    raise ValueError(f"the offer has no {codec}")


class Session:
    """One viewer's pipeline."""

    def __init__(self, codec: str, offer: str) -> None:
        payload = payload_of(offer, codec)
        caps = f"application/x-rtp,media=video,encoding-name={codec},clock-rate=90000,payload={payload}"
        line = f"{SOURCE}{ENCODERS[codec][0]} pt={payload} ! {caps} ! webrtcbin name=w bundle-policy=max-bundle"
        self.pipeline = Gst.parse_launch(line)
        self.webrtc = self.pipeline.get_by_name("w")
        self.gathered = threading.Event()
        self.replies: list[Any] = []
        self.webrtc.connect("notify::ice-gathering-state", self.gathering)
        self.pipeline.set_state(Gst.State.PLAYING)
        _, parsed = GstSdp.SDPMessage.new_from_text(offer)
        kind = GstWebRTC.WebRTCSDPType
        self.told("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind.OFFER, parsed))
        answer = self.told("create-answer", None).get_value("answer")
        self.told("set-local-description", answer)
        if not self.gathered.wait(PATIENCE):
            raise TimeoutError("no candidates")
        self.answer = self.webrtc.get_property("local-description").sdp.as_text()

    def told(self, what: str, argument: Any) -> Any:
        """What webrtcbin replies to one of its signals."""
        promise = Gst.Promise.new()
        self.webrtc.emit(what, argument, promise)
        promise.wait()
        reply = promise.get_reply()
        # A reply owns what it holds.
        self.replies.append(reply)
        return reply

    def gathering(self, webrtc: Any, _: Any) -> None:
        """The candidates are complete."""
        if webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self.gathered.set()

    def close(self) -> None:
        """End it."""
        self.pipeline.set_state(Gst.State.NULL)


def endpoint(codec: str, token: str) -> type[BaseHTTPRequestHandler]:
    """The handler of `/whep` and `/whep/session/N`."""
    sessions: dict[str, Session] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.headers.get("Authorization") != f"Bearer {token}":
                self.said(401)
                return
            offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
            session = Session(codec, offer)
            path = f"/whep/session/{len(sessions)}"
            sessions[path] = session
            self.said(201, session.answer.encode(), {"Content-Type": "application/sdp", "Location": path})
            print("OPENED", flush=True)

        def do_DELETE(self) -> None:
            session = sessions.pop(self.path, None)
            if session is None or self.headers.get("Authorization") != f"Bearer {token}":
                self.said(404)
                return
            session.close()
            self.said(200)
            print("DELETED", flush=True)

        def said(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main() -> None:
    """Serve until killed: arguments are the codec and the token."""
    codec, token = sys.argv[1:]
    Gst.init(None)
    for element in ("webrtcbin", "nicesrc", "dtlsdec", "videotestsrc", *ENCODERS[codec][1]):
        if Gst.ElementFactory.find(element) is None:
            print(f"MISSING {element}", flush=True)
            sys.exit(MISSING)
    server = ThreadingHTTPServer(("127.0.0.1", 0), endpoint(codec, token))
    print(f"LISTENS {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
