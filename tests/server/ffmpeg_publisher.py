"""FFmpeg's `whip` muxer, by way of PyAV, sends a green face until standard input ends.

A process of its own: PyAV holds the interpreter while the muxer asks the server.
"""

from __future__ import annotations

import sys
import threading
import time

import av

from tests.support.portraits import RATE, SIZE, portrait_pictures


def publish(url: str, certificate: str, key: str, token: str) -> None:
    """Send until standard input ends."""
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
    # Built with GnuTLS it would make itself a P-224 key, which OpenSSL's defaults refuse.
    options = {"cert_file": certificate, "key_file": key, "authorization": token}
    with av.open(url, "w", format="whip", container_options=options) as container:
        stream = container.add_stream("libx264", rate=int(RATE), options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.profile = "Baseline"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 20, 0
        pictures = list(portrait_pictures(2.0, (0.0, 2.0)))
        began, count = time.monotonic(), 0
        while not done.wait(max(0.0, began + count / RATE - time.monotonic())):
            frame = av.VideoFrame.from_ndarray(pictures[count % len(pictures)], format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts = count
            container.mux(stream.encode(frame))
            count += 1


if __name__ == "__main__":
    publish(*sys.argv[1:])
