"""Plays one stream by WHEP with GStreamer's `webrtcbin`, run by the system's Python: counts decoded pictures.

Prints `FRAMES n WIDTHxHEIGHT` once so many pictures have been decoded, and ends with 0; with 1 and the reason
otherwise; with 77 where GStreamer lacks what it needs.
"""

from __future__ import annotations

import sys
import urllib.request
from typing import Any
from urllib.parse import urljoin

MISSING = 77
CODECS = {
    "VP8": ("rtpvp8depay ! vp8dec", ("rtpvp8depay", "vp8dec")),
    "H264": ("rtph264depay ! avdec_h264", ("rtph264depay", "avdec_h264")),
}

try:
    import gi

    for name in ("Gst", "GstWebRTC", "GstSdp"):
        gi.require_version(name, "1.0")
    from gi.repository import GLib, Gst, GstSdp, GstWebRTC
except (ImportError, ValueError) as error:
    print(f"MISSING {error}", flush=True)
    sys.exit(MISSING)


class Player:
    """One WHEP session.

    Args:
        url: the WHEP endpoint.
        codec: "VP8" or "H264".
        wanted: pictures to decode.
    """

    def __init__(self, url: str, codec: str, wanted: int) -> None:
        self.url, self.codec, self.wanted = url, codec, wanted
        self.session = ""
        self.count = 0
        self.failure = ""
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new(None)
        self.webrtc = Gst.ElementFactory.make("webrtcbin", None)
        self.webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.webrtc)
        payload = 96 if codec == "VP8" else 97
        extra = ",packetization-mode=(string)1,profile-level-id=(string)42e01f" if codec == "H264" else ""
        caps = f"application/x-rtp,media=video,encoding-name={codec},payload={payload},clock-rate=90000{extra}"
        direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        self.webrtc.emit("add-transceiver", direction, Gst.Caps.from_string(caps))
        self.webrtc.connect("pad-added", self.padded)
        self.webrtc.connect("notify::ice-gathering-state", self.gathered)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _bus, message: self.end(str(message.parse_error())))

    def play(self) -> None:
        """Run until enough has been decoded, or something failed."""
        self.pipeline.set_state(Gst.State.PLAYING)
        self.webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered))
        GLib.timeout_add_seconds(60, lambda: self.end(f"{self.count} pictures after 60 s"))
        self.loop.run()
        if self.session:
            urllib.request.urlopen(urllib.request.Request(self.session, method="DELETE")).close()
        self.pipeline.set_state(Gst.State.NULL)

    def end(self, failure: str = "") -> bool:
        """Stop playing."""
        self.failure = self.failure or failure
        self.loop.quit()
        return False

    def offered(self, promise: Any) -> None:
        """The offer is made: candidates are gathered next."""
        promise.wait()
        # The reply owns the offer's memory.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        if offer is None:
            self.end(f"no offer was made: {reply.to_string()}")
            return
        self.webrtc.emit("set-local-description", offer, None)

    def gathered(self, webrtc: Any, _property: Any) -> None:
        """All candidates are there: offer them in one POST."""
        if webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.post)

    def post(self) -> bool:
        """Offer, and apply the answer."""
        offer = self.webrtc.get_property("local-description").sdp.as_text()
        headers = {"Content-Type": "application/sdp"}
        request = urllib.request.Request(self.url, data=offer.encode(), headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request) as response:
                text, place = response.read().decode(), response.headers["Location"]
        except OSError as error:
            return self.end(f"{error}")
        self.session = urljoin(self.url, place)
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.webrtc.emit("set-remote-description", answer, None)
        return False

    def padded(self, _webrtc: Any, pad: Any) -> None:
        """A track arrives: decode it and count."""
        decoder = f"queue ! {CODECS[self.codec][0]} ! fakesink name=out signal-handoffs=true sync=false"
        branch = Gst.parse_bin_from_description(decoder, True)
        branch.get_by_name("out").connect("handoff", self.decoded)
        self.pipeline.add(branch)
        branch.sync_state_with_parent()
        pad.link(branch.get_static_pad("sink"))

    def decoded(self, _sink: Any, _buffer: Any, pad: Any) -> None:
        """One more picture."""
        self.count += 1
        if self.count == self.wanted:
            caps = pad.get_current_caps().get_structure(0)
            print(f"FRAMES {self.count} {caps.get_value('width')}x{caps.get_value('height')}", flush=True)
            GLib.idle_add(self.end)


if __name__ == "__main__":
    Gst.init(None)
    url, codec, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
    needed = ("webrtcbin", "nicesrc", "nicesink", "dtlssrtpdec", "srtpdec", *CODECS[codec][1])
    if lacking := [name for name in needed if Gst.ElementFactory.find(name) is None]:
        print(f"MISSING {', '.join(lacking)}", flush=True)
        sys.exit(MISSING)
    player = Player(url, codec, wanted)
    player.play()
    if player.failure:
        sys.exit(player.failure)
