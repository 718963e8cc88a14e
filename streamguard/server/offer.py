"""SDP offers and trickled ICE fragments: read, checked, and trimmed to what this server can use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiortc import RTCIceCandidate
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.sdp import SessionDescription, candidate_from_sdp

from streamguard.media.live_encoder import LiveCodec
from streamguard.server.problems import Problem

MOST_BYTES = 64 * 1024
"""The longest SDP or fragment that is read."""
_MOST_MEDIA = 8
_MOST_CANDIDATES = 64
_CODECS: dict[str, LiveCodec] = {"video/h264": "h264", "video/vp8": "vp8"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked offer.

    Attributes:
        sdp: to be given to the connection.
        ufrag: the remote ICE user fragment.
        sends, receives: whether its first video section offers to send, to receive.
    """

    sdp: str
    ufrag: str
    sends: bool
    receives: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickled ICE fragment (RFC 8840).

    Attributes:
        ufrag: the sender's user fragment; empty where it names none.
        candidates: new remote candidates.
        complete: no more follow.
    """

    ufrag: str
    candidates: tuple[RTCIceCandidate, ...]
    complete: bool


def read_offer(body: bytes) -> Offer:
    """The offer in a request's body.

    Raises:
        Problem: 400 it is no SDP; 422 it is SDP that this server cannot answer.
    """
    text = _trimmed(_text(body))
    try:
        description = SessionDescription.parse(text)
        videos = [media for media in description.media if media.kind == "video"]
        ice = [media.ice or RTCIceParameters() for media in description.media]
        codecs = [codec.mimeType.lower() for media in videos[:1] for codec in media.rtp.codecs]
    except Exception as error:
        # The parser raises whatever its regular expressions and indices do.
        raise _malformed(f"The SDP cannot be read ({type(error).__name__}).") from None
    if not text.startswith("v=0") or not description.media:
        raise _malformed("The body is no SDP offer.")
    if len(description.media) > _MOST_MEDIA:
        raise _unusable(f"The offer has more than {_MOST_MEDIA} media sections.", "Offer one video and a data channel.")
    if len(videos) != 1:
        raise _unusable(f"The offer has {len(videos)} video sections.", "Offer exactly one video.")
    for media, keys in zip(description.media, ice, strict=True):
        if not keys.usernameFragment or not keys.password or not media.dtls or not media.dtls.fingerprints:
            raise _malformed("A media section lacks ICE credentials or a DTLS fingerprint.")
        if media.kind in {"audio", "video"} and not media.rtcp_mux:
            raise _unusable("RTP and RTCP are not multiplexed.", "Offer a=rtcp-mux (RFC 9725, 4.4).")
        if media.kind not in {"audio", "video", "application"} or media.rtp.muxId == "":
            raise _malformed("A media section has no mid, or is of an unknown kind.")
    if not any(codec in _CODECS for codec in codecs):
        raise _unusable("The offer has neither H.264 nor VP8.", "Offer one of them.")
    direction = videos[0].direction or "sendrecv"
    return Offer(text, ice[0].usernameFragment or "", "send" in direction, "recv" in direction)


def chosen_codec(answer: str) -> LiveCodec:
    """The codec that an answer sends its video with: the first one.

    Raises:
        Problem: 422, the sides have none in common.
    """
    for media in SessionDescription.parse(answer).media:
        if media.kind == "video" and media.rtp.codecs:
            codec = _CODECS.get(media.rtp.codecs[0].mimeType.lower())
            if codec is not None:
                return codec
    raise no_common_codec()


def no_common_codec() -> Problem:
    """The offer's codecs or profiles are not ours."""
    return _unusable(
        "The offer has no codec in common with this server.",
        "Offer VP8, or H.264 baseline with packetization-mode=1.",
    )


def read_fragment(body: bytes) -> Fragment:
    """The fragment in a request's body (RFC 8840, 9).

    Raises:
        Problem: 400, it is none.
    """
    ufrag, mid, index = "", None, -1
    candidates: list[RTCIceCandidate] = []
    complete = False
    lines = [line.strip() for line in _text(body).splitlines() if line.strip()]
    if not lines:
        raise _malformed("The fragment is empty.")
    for line in lines:
        if not re.match(r"[a-z]=", line):
            raise _malformed("The body is no SDP fragment.")
        name, _, value = line[2:].partition(":")
        if line.startswith("m="):
            mid, index = None, index + 1
        elif line.startswith("a="):
            if name == "ice-ufrag":
                ufrag = value
            elif name == "mid":
                mid = value
            elif name == "end-of-candidates":
                complete = True
            elif name == "candidate" and (candidate := _candidate(value)):
                candidate.sdpMid, candidate.sdpMLineIndex = mid, max(index, 0)
                candidates.append(candidate)
    if len(candidates) > _MOST_CANDIDATES:
        raise _malformed(f"There are more than {_MOST_CANDIDATES} candidates.")
    return Fragment(ufrag, tuple(candidates), complete)


def _candidate(value: str) -> RTCIceCandidate | None:
    try:
        candidate = candidate_from_sdp(value)
    except (ValueError, IndexError, AssertionError, KeyError):
        raise _malformed("A candidate cannot be read.") from None
    usable = candidate.protocol.lower() == "udp" and not candidate.ip.endswith(".local")
    return candidate if usable else None


def _trimmed(text: str) -> str:
    """Without what costs time for nothing: a browser's multicast DNS names and TCP candidates.

    Whoever has a name of that kind reaches this server's own candidates, and is known by the address it sends from.
    Without the names the list of candidates is no longer complete.
    """
    lines, left_out = [], False
    for line in text.splitlines():
        if line.startswith("a=candidate:"):
            parts = line.split()
            if len(parts) > 4 and (parts[4].endswith(".local") or parts[2].lower() != "udp"):
                left_out = True
                continue
        lines.append(line)
    if left_out:
        lines = [line for line in lines if line != "a=end-of-candidates"]
    if sum(line.startswith("a=candidate:") for line in lines) > _MOST_CANDIDATES * _MOST_MEDIA:
        raise _malformed("There are too many candidates.")
    return "\r\n".join(lines) + "\r\n"


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise _malformed("The body is not UTF-8.") from None


def _malformed(detail: str) -> Problem:
    return Problem(400, "malformed-sdp", detail, "Send an SDP offer made by a WebRTC stack.")


def _unusable(detail: str, remedy: str) -> Problem:
    return Problem(422, "unusable-offer", detail, remedy)
