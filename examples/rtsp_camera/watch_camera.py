"""Watch an RTSP camera: print each event as it comes, and save the annotated video."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from contextlib import aclosing
from pathlib import Path

from streamguard import Event, Guard, OverlayRecorder, SourceOptions, StreamguardError, WatchOptions


async def watch(url: str, video: Path, model: str, options: WatchOptions) -> None:
    """Runs until it is cancelled. A camera that goes away is reconnected for ever, each time as a new epoch."""
    async with Guard.open(model) as guard, OverlayRecorder(video, guard.spec.threshold) as recorder:
        print(f"{guard.spec.name} on {guard.engine.name}, waiting for the camera", flush=True)
        # Closing the iterator closes the connection, however the loop is left.
        async with aclosing(guard.watch(url, options=options)) as items:
            async for item in items:
                if isinstance(item, Event):
                    print(told(item), flush=True)
                else:
                    await recorder.write(item)


def told(event: Event) -> str:
    """The event in one line."""
    face = f"face {event.track}" if event.track is not None else ""
    share = f"{event.share:.0%} of the last frames fake" if event.share is not None else ""
    return "  ".join(filter(None, (f"{event.at:%H:%M:%S}", event.kind, face, share, event.detail)))


def main() -> int:
    """Ctrl-C ends it; the video is complete then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="rtsp://user:password@camera/path")
    parser.add_argument("--video", type=Path, default=Path("camera.mp4"), help="where the annotated video goes")
    parser.add_argument("--model", default="unet_lite0", help="a detector's name, or the path of its folder")
    parser.add_argument("--udp", action="store_true", help="media over UDP instead of TCP")
    args = parser.parse_args()
    source = SourceOptions(transport="udp" if args.udp else "tcp")
    options = WatchOptions(source=source, wait_for_source=True)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(watch(args.url, args.video, args.model, options))
    except StreamguardError as error:
        # What waiting cannot mend: a wrong password, a model that is not there, a full disk.
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
