"""An aiortc program whose video is guarded: one line wraps the track, the pictures come out with masks on them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path

from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.contrib.media import MediaPlayer, MediaRecorder

from streamguard import Event, FrameReport, Guard, GuardedTrack, StreamguardError


def told(item: FrameReport | Event) -> None:
    """Print events; what is said of every single frame is in the reports."""
    if isinstance(item, Event):
        face = f"face {item.track}" if item.track is not None else ""
        print("  ".join(filter(None, (item.kind, face, item.detail))), flush=True)


async def call(clip: Path, video: Path, model: str, seconds: float) -> None:
    """A call between two peers of this program: the one sends the clip, the other records what it sees."""
    player = MediaPlayer(str(clip))
    here, there = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    recorder = MediaRecorder(str(video))
    there.on("track", recorder.addTrack)
    async with Guard.open(model) as guard:
        track = GuardedTrack(player.video, guard, told, name=clip.stem)  # the one line
        here.addTrack(track)
        await here.setLocalDescription(await here.createOffer())
        await there.setRemoteDescription(here.localDescription)
        await there.setLocalDescription(await there.createAnswer())
        await here.setRemoteDescription(there.localDescription)
        await recorder.start()
        try:
            await asyncio.sleep(seconds)
        finally:
            await here.close()
            await there.close()
            await recorder.stop()
            await track.aclose()


def main() -> int:
    """Ctrl-C ends the call; the video is complete then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, help="a video with a face")
    parser.add_argument("--video", type=Path, default=Path("call.mp4"), help="where the other side's view goes")
    parser.add_argument("--model", default="unet_lite0", help="a detector's name, or the path of its folder")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the call lasts")
    args = parser.parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(call(args.clip, args.video, args.model, args.seconds))
    except StreamguardError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
