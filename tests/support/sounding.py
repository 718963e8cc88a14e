"""A clip with a steady tone beside its pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

TONE = 1000.0
"""Hertz."""
_RATE, _STEP = 48_000, 1024


def with_tone(clip: Path, path: Path) -> Path:
    """A copy of the clip with a tone of `TONE` as AAC."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as file:
        track = source.streams.video[0]
        video = file.add_stream_from_template(track)
        sound: Any = file.add_stream("aac", rate=_RATE, layout="mono")
        last = 0.0
        for packet in source.demux(track):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            packet.stream = video
            file.mux(packet)
        for begin in range(0, round(last * _RATE), _STEP):
            times = (begin + np.arange(_STEP)) / _RATE
            wave = (0.3 * np.sin(2 * np.pi * TONE * times)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = _RATE, begin, Fraction(1, _RATE)
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    return path
