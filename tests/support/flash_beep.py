"""Clips with a flash and a beep at each full second, and how far apart the two are in what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

RATE, SAMPLES = 25, 48_000
SIZE = (160, 120)
_FLASH = 6
"""Pictures that a flash lasts."""
_BEEP = 0.2


def flash_beep_clip(path: Path, seconds: int = 4, *, codec: str = "aac", size: tuple[int, int] = SIZE) -> Path:
    """A clip of so many seconds; flash and beep begin together at 0.4 s of each."""
    with av.open(str(path), "w") as file:
        video: Any = file.add_stream("libx264", rate=RATE, options={"bf": "2"})
        video.width, video.height = size
        video.pix_fmt, video.codec_context.gop_size = "yuv420p", RATE
        sound: Any = file.add_stream(codec, rate=SAMPLES, layout="mono")
        times = np.arange(seconds * SAMPLES) / SAMPLES
        beeping = ((times % 1.0) >= 0.4) & ((times % 1.0) < 0.4 + _BEEP)
        tone = (np.sin(2 * np.pi * 1000 * times) * 0.5 * beeping).astype(np.float32)
        step = 1024
        for index in range(seconds * RATE):
            bright = 10 <= index % RATE < 10 + _FLASH
            rgb = np.full((size[1], size[0], 3), 235 if bright else 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            file.mux(video.encode(frame))
        for begin in range(0, len(tone), step):
            chunk = av.AudioFrame.from_ndarray(tone[None, begin : begin + step], format="fltp", layout="mono")
            chunk.sample_rate, chunk.pts, chunk.time_base = SAMPLES, begin, Fraction(1, SAMPLES)
            file.mux(sound.encode(chunk))
        file.mux(video.encode(None))
        file.mux(sound.encode(None))
    return path


def decoded(file: Any, stream: Any) -> Iterator[Any]:
    """The frames of a track; what comes before the first keyframe of a recording is no fault."""
    seen = False
    for packet in file.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            if seen:
                raise
            continue
        seen = seen or bool(frames)
        yield from frames


def offsets(path: str | Path) -> list[float]:
    """Seconds from each flash to its beep (negative: the beep comes first), by the file's own times."""
    flashes: list[float] = []
    beeps: list[float] = []
    dark, quiet_since = True, -1.0
    with av.open(str(path)) as file:
        for frame in decoded(file, file.streams.video[0]):
            luma = np.asarray(frame.reformat(format="gray").to_ndarray())
            bright = float(luma[luma.shape[0] // 2 :].mean()) > 120
            if bright and dark and frame.time is not None:
                flashes.append(frame.time)
            dark = not bright
    with av.open(str(path)) as file:
        for sound in decoded(file, file.streams.audio[0]):
            wave = np.abs(sound.to_ndarray().astype(np.float32).mean(axis=0))
            wave /= 32768.0 if sound.format.name.startswith("s16") else 1.0
            loud = np.flatnonzero(wave > 0.1)
            begin = sound.time or 0.0
            if len(loud):
                first = begin + loud[0] / sound.sample_rate
                if first - quiet_since > 0.3:
                    beeps.append(first)
                quiet_since = begin + loud[-1] / sound.sample_rate
    return [min((beep - flash for beep in beeps), key=abs) for flash in flashes if beeps]
