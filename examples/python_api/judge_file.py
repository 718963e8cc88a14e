"""Judge one video file and print the verdict on each face."""

from __future__ import annotations

import argparse
import asyncio
import sys

from streamguard import FileScan, FileVerdict, Guard, StreamguardError, Verdict


async def judge(path: str, model: str) -> FileVerdict:
    """What the guard says of the file."""
    async with Guard.open(model) as guard:
        scan = FileScan(guard, path)
        verdict = await scan.run()
    if scan.fault is not None:
        # A damaged file was judged up to the damage.
        print(f"stopped early: {scan.fault}", file=sys.stderr)
    return verdict


def main() -> int:
    """Leaves with 1 when a fake was found, 2 when nothing could be judged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--model", default="unet_lite0", help="a detector's name, or the path of its folder")
    args = parser.parse_args()
    try:
        verdict = asyncio.run(judge(args.file, args.model))
    except StreamguardError as error:
        print(error, file=sys.stderr)
        return 2
    for face in verdict.tracks:
        share = "not judged" if face.share is None else f"{face.share:.0%} of {face.judged} frames fake"
        print(f"face {face.track}: {face.finding.words} ({share}), seen {face.first:.1f}-{face.last:.1f} s")
        for start, end in face.fake_intervals:
            print(f"  called fake {start:.1f}-{end:.1f} s")
    print(f"file: {verdict.finding.words}")
    if verdict.contains_fake or verdict.verdict is Verdict.FAKE:
        return 1
    return 2 if verdict.verdict is Verdict.UNKNOWN else 0


if __name__ == "__main__":
    sys.exit(main())
