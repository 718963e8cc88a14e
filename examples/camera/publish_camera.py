"""Send a camera to a streamguard server by WHIP, and print what is said of the faces in it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys

import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer


def told(text: str, last: list[str]) -> None:
    """Print a verdict message when it says something new."""
    message = json.loads(text)
    faces = ", ".join(f"face {face['track']} {face['state']}" for face in message["faces"]) or "nobody in the picture"
    if last != [faces]:
        last[:] = [faces]
        print(f"{message['time']:7.2f} s  {faces}", flush=True)


async def publish(server: str, name: str, player: MediaPlayer, token: str | None) -> None:
    """Runs until it is cancelled or the connection is lost; then the server is told that the stream has ended."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(server, headers=headers) as http:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        pc.addTransceiver(player.video, direction="sendonly")
        # The server sends its verdicts over the channel of this name.
        last: list[str] = []
        pc.createDataChannel("verdicts").on("message", lambda text: told(text, last))
        over = asyncio.Event()
        pc.on("connectionstatechange", lambda: over.set() if pc.connectionState in {"failed", "closed"} else None)
        await pc.setLocalDescription(await pc.createOffer())
        sdp = pc.localDescription.sdp.encode()
        async with http.post(f"/whip/{name}", data=sdp, headers={"Content-Type": "application/sdp"}) as answer:
            if answer.status != 201:
                problem = await answer.json(content_type=None)
                raise SystemExit(f"{problem['detail']} {problem['remedy']}")
            session = answer.headers["Location"]
            await pc.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
        print(f"publishing {name}", flush=True)
        try:
            await over.wait()
        finally:
            with contextlib.suppress(aiohttp.ClientError):
                await http.delete(session)
            await pc.close()


def main() -> int:
    """Ctrl-C ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="http://127.0.0.1:8080")
    parser.add_argument("--camera", default="/dev/video0", help="a camera's device, or a video file")
    parser.add_argument("--format", default=None, help="v4l2 for a camera that is not recognised")
    parser.add_argument("--name", default="camera", help="the stream's name on the server")
    args = parser.parse_args()
    file = not args.camera.startswith("/dev/")
    player = MediaPlayer(args.camera, format=args.format or (None if file else "v4l2"), loop=file)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(publish(args.server, args.name, player, os.environ.get("STREAMGUARD_TOKEN")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
