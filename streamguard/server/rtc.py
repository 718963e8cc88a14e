"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): media in and out by one HTTP exchange each."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from aiohttp import web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import OperationError
from aiortc.rtcdatachannel import RTCDataChannel

from streamguard.config import STREAM_NAME, IceServerSettings
from streamguard.logs import get_logger
from streamguard.media.aiortc_hooks import keep_received, on_estimate, on_picture_loss
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.published import published_frames
from streamguard.pipeline.stream import FrameReport
from streamguard.server.auth import forbidden
from streamguard.server.documents import PlayQuery
from streamguard.server.messages import verdict_json
from streamguard.server.offer import (
    MOST_BYTES,
    Offer,
    chosen_codec,
    no_common_codec,
    read_fragment,
    read_offer,
)
from streamguard.server.operations import Call, Operation, Success, read_body
from streamguard.server.problems import Problem
from streamguard.server.sessions import Kind, Session, SessionBook
from streamguard.streams.hub import Hub
from streamguard.streams.live_stream import LiveStream
from streamguard.streams.status import Transport

log = get_logger("streamguard.session")
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
CHANNEL = "verdicts"
_MOST_BUFFERED = 64 * 1024
"""Bytes that wait to be sent on a data channel; then it loses verdicts."""
_CREATED = Success(
    201,
    "The SDP answer.",
    SDP,
    {"Location": "The session's URL.", "ETag": "Of its ICE session.", "Link": "ICE servers."},
)


class RtcEndpoints:
    """The handlers of both protocols.

    Args:
        hub: the streams.
        book: the sessions.
        ice_servers: told to clients as `Link` header fields.
    """

    def __init__(self, hub: Hub, book: SessionBook, ice_servers: list[IceServerSettings]) -> None:
        self._hub, self._book = hub, book
        self._links = ice_links(ice_servers)

    def operations(self) -> list[Operation]:
        """The operations of both protocols."""
        refused = (400, 404, 409, 413, 415, 422, 503)
        publish = Operation(
            "POST",
            "/whip/{stream}",
            "publish",
            "Publish a stream (WHIP).",
            "publish",
            self.publish,
            (_CREATED,),
            refused,
            body=SDP,
        )
        play = Operation(
            "POST",
            "/whep/{stream}",
            "play",
            "Play a stream (WHEP).",
            "own",
            self.play,
            (_CREATED,),
            refused,
            body=SDP,
            query=PlayQuery,
        )
        return [publish, *self._beside("whip", publish), play, *self._beside("whep", play)]

    def _beside(self, kind: Kind, endpoint: Operation) -> list[Operation]:
        """Return the operations of both protocols beside their POST."""
        session, title = f"/{kind}/sessions/{{id}}", endpoint.name.capitalize()
        return [
            Operation(
                "OPTIONS",
                endpoint.path,
                f"{endpoint.name}Options",
                "What can be posted here.",
                "nothing",
                self.options,
                (Success(204, "See its header fields.", None, {"Accept-Post": SDP}),),
            ),
            Operation(
                "PATCH",
                session,
                f"trickle{title}",
                "Add ICE candidates.",
                "own",
                self.trickle(kind),
                (Success(204, "They were taken."),),
                (400, 404, 412, 413, 415, 422, 428),
                body=FRAGMENT,
                headers={"If-Match": "The session's ETag."},
            ),
            Operation(
                "DELETE",
                session,
                f"end{title}",
                "End the session.",
                "own",
                self.end(kind),
                (Success(200, "It has ended."),),
                (404,),
            ),
        ]

    async def publish(self, call: Call[None, None]) -> web.Response:
        """POST /whip/{stream}."""
        name = call.part("stream")
        _check_name(name)
        self._hub.check_room(name)
        offer = read_offer(await read_body(call.request, SDP, MOST_BYTES))
        if not offer.sends:
            raise Problem(422, "unusable-offer", "The offer sends no video.", "Offer a=sendonly.")
        async with self._book.opening("whip", name, call.caller.name) as session:
            tracks: list[MediaStreamTrack] = []
            channels: list[RTCDataChannel] = []
            session.pc.on("track", tracks.append)
            session.pc.on("datachannel", channels.append)
            await _accept(session, offer)
            video = next((track for track in tracks if track.kind == "video"), None)
            if video is None:
                raise no_common_codec()
            keeper = self._hub.new_keeper()
            if keeper is not None:
                _keep_packets(session.pc, video, keeper)
            answer = await _answer(session.pc)
            stream = await self._hub.publish(name, partial(published_frames, video, name), call.caller.name, keeper)
            stream.probe = _Probe(session.pc)
            session.pc.remove_all_listeners("datachannel")
            verdicts = _Verdicts(stream)
            session.pc.on("datachannel", verdicts.opened)
            for channel in channels:
                verdicts.opened(channel)
            forget = stream.when_over(session.request_close)

            async def closed() -> None:
                forget()
                verdicts.forget()
                await self._hub.close(name)

            self._book.open(session, closed)
        return self._created(session, answer)

    async def play(self, call: Call[None, PlayQuery]) -> web.Response:
        """POST /whep/{stream}."""
        stream = self._hub.find(call.part("stream"))
        if not call.caller.may_view(stream.name, stream.owner):
            raise forbidden("view")
        if stream.over:
            detail = f"The stream `{stream.name}` is over: {stream.status().detail}."
            raise Problem(409, "not-playing", detail, "Play it once it is up again.", {"Retry-After": "5"})
        offer = read_offer(await read_body(call.request, SDP, MOST_BYTES))
        if not offer.receives:
            raise Problem(422, "unusable-offer", "The offer receives no video.", "Offer a=recvonly.")
        async with self._book.opening("whep", stream.name, call.caller.name) as session:
            verdicts = _Verdicts(stream)
            session.pc.on("datachannel", verdicts.opened)
            await _accept(session, offer)
            # Which codec is known from an answer only, and an answer sends only what has a track.
            draft = await session.pc.createAnswer()
            track = stream.join(call.query.overlay, chosen_codec(draft.sdp))
            try:
                sender = session.pc.addTrack(track)

                def lost() -> None:
                    session.pli += 1
                    track.request_keyframe()

                on_picture_loss(sender, lost)
                on_estimate(sender, track.told_bitrate)
                answer = await _answer(session.pc)
            except BaseException:
                track.stop()
                raise
            forget = stream.when_over(session.request_close)

            async def closed() -> None:
                forget()
                track.stop()
                verdicts.forget()

            self._book.open(session, closed)
        return self._created(session, answer)

    def trickle(self, kind: Kind) -> Callable[[Call[None, None]], Awaitable[web.Response]]:
        """PATCH of a session: trickle ICE (RFC 9725, 4.3)."""

        async def handle(call: Call[None, None]) -> web.Response:
            session = self._mine(kind, call)
            body = await read_body(call.request, FRAGMENT, MOST_BYTES)
            match = call.request.headers.get("If-Match")
            if match is None:
                raise Problem(428, "etag-needed", "If-Match is missing.", "Send the session's ETag with it.")
            restart = Problem(422, "no-restart", "ICE cannot be restarted.", "Delete the session, start a new one.")
            if match.strip() == "*":
                raise restart
            if session.etag not in [tag.strip() for tag in match.split(",")]:
                raise Problem(412, "etag-stale", "If-Match is not the session's ETag.", "Use the one it came with.")
            fragment = read_fragment(body)
            if fragment.ufrag and fragment.ufrag != session.ufrag:
                raise restart
            try:
                for candidate in fragment.candidates:
                    await session.pc.addIceCandidate(candidate)
                if fragment.complete:
                    await session.pc.addIceCandidate(None)
            except ValueError:
                detail = "A candidate is not usable, or came after the end of candidates."
                raise Problem(400, "malformed-sdp", detail, "Send it before.") from None
            return web.Response(status=204)

        return handle

    def end(self, kind: Kind) -> Callable[[Call[None, None]], Awaitable[web.Response]]:
        """DELETE of a session."""

        async def handle(call: Call[None, None]) -> web.Response:
            session = self._mine(kind, call)
            await self._book.close(session)
            if kind == "whip":
                await self._hub.close(session.stream)
            return web.Response(status=200)

        return handle

    async def options(self, call: Call[None, None]) -> web.Response:
        """OPTIONS of an endpoint."""
        # No token is needed for this, so it holds no credentials of ICE servers.
        return web.Response(status=204, headers={"Accept-Post": SDP, "Allow": "OPTIONS, POST"})

    def _mine(self, kind: Kind, call: Call[None, None]) -> Session:
        session = self._book.find(kind, call.part("id"))
        if session.owner != call.caller.name and not call.caller.may("admin"):
            raise forbidden("admin")
        return session

    def _created(self, session: Session, sdp: str) -> web.Response:
        headers = {"Location": session.path, "ETag": session.etag, "Accept-Patch": FRAGMENT}
        response = web.Response(status=201, text=sdp, content_type=SDP, headers=headers)
        for link in self._links:
            response.headers.add("Link", link)
        return response


class _Verdicts:
    """Tells the verdicts of a stream on the data channels of one session; one that is backed up loses its own only."""

    def __init__(self, stream: LiveStream) -> None:
        self._stream = stream
        self._forget: list[Callable[[], None]] = []

    def opened(self, channel: RTCDataChannel) -> None:
        if channel.label == CHANNEL:
            self._forget.append(self._stream.reports.listen(partial(self._tell, channel)))

    def forget(self) -> None:
        for forget in self._forget:
            forget()

    def _tell(self, channel: RTCDataChannel, report: FrameReport) -> bool:
        if channel.readyState != "open":
            return True
        if channel.bufferedAmount > _MOST_BUFFERED:
            return False
        channel.send(verdict_json(self._stream.name, report))
        return True


class _Probe:
    """Bit rate and loss of what a publisher sends, from one call to the next."""

    def __init__(self, pc: RTCPeerConnection) -> None:
        self._pc = pc
        self._at, self._bytes, self._received, self._lost = time.monotonic(), 0, 0, 0

    async def __call__(self) -> Transport:
        stats = (await self._pc.getStats()).values()
        inbound = [each for each in stats if each.type == "inbound-rtp"]
        received = sum(each.packetsReceived for each in inbound)
        lost = sum(each.packetsLost for each in inbound)
        size = sum(each.bytesReceived for each in stats if each.type == "transport")
        now = time.monotonic()
        seconds, new, missing = now - self._at, received - self._received, max(0, lost - self._lost)
        rate = (size - self._bytes) * 8 / 1000 / seconds if seconds > 0 else 0.0
        self._at, self._bytes, self._received, self._lost = now, size, received, lost
        return Transport(round(rate, 1), round(missing / (new + missing), 4) if new + missing else None)


async def _accept(session: Session, offer: Offer) -> None:
    session.ufrag = offer.ufrag
    try:
        await session.pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
    except OperationError:
        raise no_common_codec() from None
    except Exception as error:
        log.info("offer refused", kind=session.kind, stream=session.stream, cause=type(error).__name__)
        remedy = "Send an SDP offer made by a WebRTC stack."
        raise Problem(400, "malformed-sdp", "The offer cannot be applied.", remedy) from None
    for transceiver in session.pc.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.direction = "inactive"


def _keep_packets(pc: RTCPeerConnection, video: MediaStreamTrack, keeper: PacketKeeper) -> None:
    for receiver in pc.getReceivers():
        if receiver.track is video:
            keep_received(receiver, keeper)


async def _answer(pc: RTCPeerConnection) -> str:
    """The answer with all candidates: aiortc gathers before it answers."""
    await pc.setLocalDescription(await pc.createAnswer())
    return pc.localDescription.sdp


def _check_name(name: str) -> None:
    if not re.fullmatch(STREAM_NAME, name):
        remedy = "Use up to 64 letters, digits, dots, dashes and underscores."
        raise Problem(400, "bad-name", "This cannot be a stream's name.", remedy)


def ice_links(servers: Iterable[IceServerSettings]) -> list[str]:
    """ICE servers as WHIP sends them: one `Link` header field value per URL (RFC 9725, 4.6)."""
    links = []
    for server in servers:
        for url in server.urls:
            link = f'<{url}>; rel="ice-server"'
            if server.username is not None:
                link += f"; username={_quoted(server.username)}"
            if server.credential is not None:
                link += f'; credential={_quoted(server.credential.get_secret_value())}; credential-type="password"'
            links.append(link)
    return links


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110, 5.6.4)."""
    safe = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{safe}"'
