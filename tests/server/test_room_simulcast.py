"""A browser sends its camera to Janus in three sizes: the guard gets the one that it wants."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page

from streamguard.media.sfu.janus_room import JanusRoom
from streamguard.media.sfu.room import RoomCamera, RoomOptions
from tests.server.page.browsing import chromium, opened
from tests.support.hosts import web_server
from tests.support.janus import Janus

pytestmark = pytest.mark.slow
LIMIT = 90.0
# A client of Janus in a few lines; the picture is noise that moves, of 640 by 480.
_SEND = """async (port) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, "janus-protocol");
  await new Promise((resolve) => { socket.onopen = resolve; });
  const waiting = new Map();
  socket.onmessage = ({ data }) => {
    const told = JSON.parse(data);
    if (told.janus !== "ack") waiting.get(told.transaction)?.(told);
  };
  const about = {};
  const ask = (message) => new Promise((resolve) => {
    const transaction = String(Math.random());
    waiting.set(transaction, resolve);
    socket.send(JSON.stringify({ ...message, ...about, transaction }));
  });
  about.session_id = (await ask({ janus: "create" })).data.id;
  about.handle_id = (await ask({ janus: "attach", plugin: "janus.plugin.videoroom" })).data.id;
  const say = (body, jsep) => ask({ janus: "message", body, ...(jsep && { jsep }) });
  await say({ request: "join", ptype: "publisher", room: 1234, display: "Ann" });
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
  const pen = canvas.getContext("2d");
  setInterval(() => {
    pen.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`;
    pen.fillRect(Math.random() * 600, Math.random() * 440, 80, 80);
  }, 100);
  const peer = new RTCPeerConnection();
  const [track] = canvas.captureStream(10).getTracks();
  peer.addTransceiver(track, {
    direction: "sendonly",
    sendEncodings: [{ rid: "h" }, { rid: "m", scaleResolutionDownBy: 2 }, { rid: "l", scaleResolutionDownBy: 4 }],
  });
  await peer.setLocalDescription();
  await new Promise((resolve) => {
    if (peer.iceGatheringState === "complete") resolve();
    peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && resolve();
  });
  const { type, sdp } = peer.localDescription;
  const answered = await say({ request: "publish" }, { type, sdp });
  await peer.setRemoteDescription(answered.jsep);
  window.keep = [socket, peer];
}"""


async def widths(janus: Janus, substream: int, wanted: int) -> None:
    """Receive the one camera until pictures come that are so many pixels wide."""
    async with JanusRoom(f"{janus.url}/1234", RoomOptions(substream=substream)) as room:
        camera = await _camera(room)
        assert camera.simulcast
        async with room.receive(camera, None) as track:
            while (await track.recv()).width != wanted:
                pass
            # And go on coming.
            seen = {(await track.recv()).width for _ in range(5)}
            assert seen == {wanted}


async def _camera(room: JanusRoom) -> RoomCamera:
    async for cameras in room.cameras():
        if cameras:
            return cameras[0]
    raise AssertionError("nobody sends")


async def _sends(page: Page, janus: Janus) -> None:
    await page.evaluate(_SEND, janus.port)


async def test_the_wanted_size_comes(tmp_path: Path) -> None:
    (tmp_path / "call.html").write_text("<title>A call</title>")
    # A browser lets pages of this machine only speak to it.
    with Janus({1234: {"bitrate": 4_000_000}}) as janus, web_server(tmp_path) as url:
        async with chromium() as browser, opened(browser, f"{url}/call.html") as page:
            await _sends(page, janus)
            async with asyncio.timeout(LIMIT):
                # Of a picture this small Chromium sends the two larger sizes.
                await asyncio.gather(widths(janus, 2, 640), widths(janus, 0, 320))
