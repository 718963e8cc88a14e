"""The sound of a source beside its annotated pictures: kept compressed on disk, then put into their MP4 file."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.audio.fifo
import av.audio.resampler
import numpy as np

from streamguard.errors import OutputError
from streamguard.media.failures import output_failure
from streamguard.media.sound import SoundHead, SoundPacket

_COPIED = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
"""Codecs that MP4 players take as they are; all others become AAC."""
_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_AAC_LAYOUTS = frozenset({"mono", "stereo", "5.1", "7.1"})
_AAC_FRAME = 1024
_GAP = 0.05
"""Seconds without sound that are filled with silence; less is rounding."""
_RECORD = struct.Struct("<qqI")


class SoundTrack:
    """Takes a source's sound from the decode thread, and puts it beside pictures at their end.

    Of the first connection only; sound before the first picture and behind the last one is left out.

    Args:
        path: where the compressed packets wait; removed by `close`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO | None = None
        self._head: SoundHead | None = None
        self._base = Fraction(0)
        self._last = Fraction(-1)
        self._failure: OutputError | None = None

    def take(self, epoch: int, packet: SoundPacket) -> None:
        """Keep a packet; a `SoundListener`. What goes wrong is raised by `mix`."""
        if epoch or packet.time < 0 or packet.time <= self._last or self._failure is not None:
            return
        if self._head is None:
            self._head, self._base = packet.head, packet.base
        if packet.head.key != self._head.key:
            return
        self._last = packet.time
        try:
            # Unbuffered: a full disk is met here, not at the end.
            self._file = self._file or self._path.open("w+b", buffering=0)
            pts, duration = round(packet.time / self._base), round(packet.duration / self._base)
            self._file.write(_RECORD.pack(pts, duration, len(packet.data)) + packet.data)
        except OSError as error:
            self._failure = output_failure(self._path, error)

    @property
    def heard(self) -> bool:
        """Return whether there was any."""
        return self._head is not None

    def mix(self, pictures: Path, into: Path) -> None:
        """Write the pictures of an MP4 file, as they are, and this sound beside them into another one.

        Raises:
            OutputError: the sound could not be kept.
            av.FFmpegError, OSError: the file cannot be written.
        """
        if self._failure is not None:
            raise self._failure
        assert self._head is not None
        with (
            av.open(f"file:{pictures}") as shown,
            av.open(io.BytesIO(self._head.file)) as described,
            av.open(f"file:{into}", "w", format="mp4", options={"movflags": "+faststart"}) as out,
        ):
            source: Any = described.streams.audio[0]
            video: Any = out.add_stream_from_template(shown.streams.video[0])
            track: _Copied | _Encoded = (_Copied if self._head.codec in _COPIED else _Encoded)(out, source)
            waiting = self._packets()
            sound = next(waiting, None)
            for packet in shown.demux(shown.streams.video[0]):
                if packet.dts is None or packet.time_base is None or packet.pts is None:
                    continue
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                while sound is not None and sound.pts * self._base < end:
                    track.push(sound)
                    sound = next(waiting, None)
                packet.stream = video
                out.mux(packet)
            track.finish()

    def close(self) -> None:
        """Forget what is kept."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)

    def _packets(self) -> Iterator[Any]:
        file = self._file
        if file is None:
            return
        file.seek(0)
        while head := file.read(_RECORD.size):
            pts, duration, size = _RECORD.unpack(head)
            packet: Any = av.Packet(file.read(size))
            packet.pts = packet.dts = pts
            packet.duration, packet.time_base = duration, self._base
            yield packet


class _Copied:
    """The packets as they are."""

    def __init__(self, out: Any, source: Any) -> None:
        self._out, self._stream = out, out.add_stream_from_template(source)

    def push(self, packet: Any) -> None:
        packet.stream = self._stream
        self._out.mux(packet)

    def finish(self) -> None:
        """Nothing is held back."""


class _Encoded:
    """The sound as AAC; a gap is filled with silence, so that what follows stays in step."""

    def __init__(self, out: Any, source: Any) -> None:
        self._out, self._decoder = out, source.codec_context
        self._rate = source.rate if source.rate in _AAC_RATES else _AAC_RATES[-1]
        self._layout = source.layout.name if source.layout.name in _AAC_LAYOUTS else "stereo"
        self._stream = out.add_stream("aac", rate=self._rate, layout=self._layout)
        self._resampler = av.audio.resampler.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        self._fifo = av.audio.fifo.AudioFifo()
        self._taken = self._made = 0

    def push(self, packet: Any) -> None:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            # Damage is a gap.
            return
        for frame in frames:
            begin = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
            for part in self._resampler.resample(frame):
                if begin is not None:
                    self._fill(round(begin * self._rate) - self._taken)
                    begin = None
                self._add(part)
        self._encode(partly=False)

    def finish(self) -> None:
        for part in self._resampler.resample(None):
            self._add(part)
        self._encode(partly=True)
        self._out.mux(self._stream.encode(None))

    def _fill(self, samples: int) -> None:
        if samples <= _GAP * self._rate:
            return
        channels = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}[self._layout]
        for begin in range(0, samples, self._rate):
            silence = np.zeros((channels, min(self._rate, samples - begin)), np.float32)
            self._add(av.AudioFrame.from_ndarray(silence, format="fltp", layout=self._layout))
            self._encode(partly=False)

    def _add(self, frame: Any) -> None:
        frame.sample_rate, frame.pts, frame.time_base = self._rate, None, Fraction(1, self._rate)
        self._taken += frame.samples
        self._fifo.write(frame)

    def _encode(self, *, partly: bool) -> None:
        while (frame := self._fifo.read(_AAC_FRAME, partly)) is not None:
            frame.pts, frame.time_base, frame.sample_rate = self._made, Fraction(1, self._rate), self._rate
            self._made += frame.samples
            self._out.mux(self._stream.encode(frame))
