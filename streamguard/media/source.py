"""Opening a file, camera or network stream and decoding its pictures, on the caller's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.container
import av.video.stream

from streamguard.errors import (
    CorruptMedia,
    EmptyMedia,
    SourceEnded,
    SourceTimeout,
    UnsupportedMedia,
)
from streamguard.media.address import Address, SourceOptions, parse_address
from streamguard.media.decoder import FrameDecoder
from streamguard.media.failures import open_failure
from streamguard.media.hardware import accelerator
from streamguard.media.interrupt import Interrupt
from streamguard.media.packet_reader import PacketReader
from streamguard.media.packet_ring import PacketKeeper, stream_head
from streamguard.media.picture import bears_matrix, picture_of
from streamguard.media.probe import check_size, cut_short, is_live, video_stream
from streamguard.media.sound import SoundPacket, SoundTap
from streamguard.media.timestamps import TimestampRepair
from streamguard.types import Picture

av.logging.set_level(None)

_ONE_THREAD_PIXELS = 1920 * 1088
"""Up to here one thread decodes faster than real time, and many streams share the processor better so."""


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One picture of a source.

    Attributes:
        index: number of the frame, from 0.
        time: repaired media time in seconds, strictly rising from 0.0.
        picture: the upright picture.
        keyframe: whether it was coded without reference to others.
    """

    index: int
    time: float
    picture: Picture
    keyframe: bool


def open_source(
    url: str | Path,
    options: SourceOptions | None = None,
    *,
    interrupt: Interrupt | None = None,
    keeper: PacketKeeper | None = None,
    sound: Callable[[SoundPacket], None] | None = None,
) -> VideoSource:
    """Open a source and read its header. Blocks for `options.open_timeout` seconds at the most.

    Args:
        url: a path, `file://`, http(s) (files, HLS), rtsp(s), rtmp(s), udp, rtp or tcp URL, `/dev/videoN`,
            `camera:N`, or `loop:` and a path: the file over and over, as one stream without an end.
        options: how to open it.
        interrupt: another thread's means to break off opening and reading.
        keeper: gets the compressed packets of the video.
        sound: gets the compressed packets of the sound, where there is any, while the source is iterated.

    Raises:
        SourceError: it cannot be reached (see the subclasses).
        MediaError: it was reached but is no usable video (see the subclasses).
    """
    options = options or SourceOptions()
    return VideoSource(parse_address(str(url), options), options, interrupt or Interrupt(), keeper, sound)


class VideoSource:
    """An open source: a context manager that iterates `DecodedFrame` once. Made by `open_source`.

    Attributes:
        url: as it was given; use `redact` before showing it.
        live: whether it runs in real time: RTSP and its kin, cameras, HLS without an end, `loop:`.
        paced: whether pictures come no faster than in real time by themselves; a file's do not.
        bursts: whether they come so on the whole only, by segments (HLS).
        width, height: of the upright pictures once the first is decoded; of the coded ones before.
        average_rate: frames per second, None where the source does not tell.
        duration: in seconds; None when live or unknown.
        frame_count: estimate; None when live or unknown.
        codec: libav's name of the decoder.
        hardware: whether a device decodes it.
        decode_errors: packets and pictures skipped because they were damaged.
        left_out: pictures that were not decoded, as nobody needed them and no other is made from them.

    Iterating raises:
        SourceTimeout, SourceEnded: a live source froze, ended or changed its codec; an http file broke off.
        CorruptMedia: the file ended well before its promised end, or no picture could be decoded.
        EmptyMedia: there is not one picture.
        UnsupportedMedia: a picture's size or pixel format cannot be judged.
    """

    def __init__(
        self,
        address: Address,
        options: SourceOptions,
        interrupt: Interrupt,
        keeper: PacketKeeper | None = None,
        sound: Callable[[SoundPacket], None] | None = None,
    ) -> None:
        self.url = address.shown
        self._address, self._options, self._interrupt = address, options, interrupt
        self._keeper, self._tell = keeper, sound
        # Held while libav works: it must not be closed under a call.
        self._lock = threading.Lock()
        self._earlier_errors = self._decoded = self.left_out = 0
        self._wanted: Callable[[float], bool] | None = None
        self._spared: Callable[[float], bool] | None = None
        self._begin()
        self._repair = TimestampRepair(self.average_rate)

    def only(self, wanted: Callable[[float], bool] | None, spared: Callable[[float], bool] | None = None) -> None:
        """Yield those pictures only whose media seconds are wanted; the others are numbered and left.

        Args:
            wanted: asked for each picture, once; None for all.
            spared: asked before a picture is decoded: whether nobody will want it. Then it is left undecoded where no
                other one is made from it, and decoded later, together with the next ones, where one is.
        """
        self._wanted, self._spared = wanted, spared

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the source, from any thread: a blocked read ends, and with it the iteration, without an error."""
        self._interrupt.set()
        with self._lock:
            self._packets.close()
            self._container.close()

    @property
    def decode_errors(self) -> int:
        """Packets and pictures skipped because they were damaged."""
        return self._earlier_errors + self._packets.errors + self._decoder.errors

    def __iter__(self) -> Iterator[DecodedFrame]:
        while True:
            with self._lock:
                if self._interrupt.is_set:
                    return
                frames = self._step()
            for frame in frames or ():
                moment = self._repair.repair(frame.pts, frame.time_base)
                if self._sound is not None:
                    self._sound.shown(self._repair.offset)
                self._decoded += 1
                if self._wanted is None or self._wanted(moment):
                    yield DecodedFrame(self._decoded - 1, moment, self._picture(frame), bool(frame.key_frame))
            if frames:
                self._silent_since = self._blind_since = time.monotonic()
                self._check_clock(frames, self._blind_since)
            if frames is None and not self._again():
                return

    def _again(self) -> bool:
        """At the end: whether it begins anew. Raises what the end means."""
        if self._interrupt.is_set:
            return False
        if self._address.looped and self._packets.broken is None and self._decoder.decoded:
            with self._lock:
                self._packets.close()
                self._container.close()
                self._earlier_errors = self.decode_errors
                # It may have been taken away meanwhile.
                self._address = parse_address(self.url, self._options)
                self._begin()
            self._repair.restart()
            return True
        self._finish()
        return False

    def _begin(self) -> None:
        self._container = self._open()
        try:
            self._stream = video_stream(self._container, self.url)
            self._describe()
            self._sound = self._sound_tap()
        except BaseException:
            self._container.close()
            raise
        if self._keeper is not None:
            self._keeper.begin(partial(stream_head, self._stream))
        self._packets = PacketReader(
            self._container, self._address, self._interrupt, self._options.read_timeout, live=self.live
        )
        self._silent_since = self._blind_since = self._moved = time.monotonic()
        self._stamp: int | None = None
        self._upright: bool | None = None
        self._read = 0
        self._reached = 0.0
        self._drained = False

    def _open(self) -> av.container.InputContainer:
        options, address = self._options, self._address
        began = time.monotonic()
        try:
            with self._interrupt:
                return av.open(
                    address.name,
                    "r",
                    format=address.format,
                    options=address.options,
                    timeout=(options.open_timeout, options.read_timeout),
                    hwaccel=accelerator(options.hwaccel),
                )
        except (av.FFmpegError, OSError, ValueError) as foreign:
            # The interrupted wait may end a little before the limit by this clock.
            timed_out = time.monotonic() - began >= 0.95 * options.open_timeout or self._interrupt.is_set
            error = open_failure(address, foreign, timed_out=timed_out)
        raise error

    def _describe(self) -> None:
        stream, container = self._stream, self._container
        self.width, self.height = stream.codec_context.width, stream.codec_context.height
        check_size(self.url, self.width, self.height, self._options.max_pixels)
        if self.width * self.height <= _ONE_THREAD_PIXELS:
            stream.thread_count = 1
        rate = stream.average_rate or stream.guessed_rate
        self.average_rate = float(rate) if rate and 0.1 <= rate <= 300 else None
        self.paced = is_live(container, self._address.kind)
        self.bursts = container.format.name == "hls"
        self.live = self.paced or self._address.looped
        self.codec, self.hardware = stream.codec_context.name, stream.codec_context.is_hwaccel
        self.duration, self.frame_count = None, None
        self._start = (container.start_time or 0) / av.time_base
        over_rtp = container.format.name in ("rtsp", "rtp", "sdp")
        self._decoder = FrameDecoder(stream, joined=over_rtp and self.codec == "h264")
        if not self.live:
            if container.duration:
                self.duration = container.duration / av.time_base
            if stream.frames:
                self.frame_count = stream.frames
            elif self.duration and self.average_rate:
                self.frame_count = round(self.duration * self.average_rate)

    def _step(self) -> list[av.VideoFrame] | None:
        """The pictures of one packet (often one, or none); None at the end."""
        packet = self._packets.next()
        if packet is None:
            return None if self._packets.broken is None else self._remainder()
        if packet.pts is not None and packet.time_base is not None:
            end = packet.pts + (packet.duration or 0)
            self._reached = max(self._reached, float(end * packet.time_base) - self._start)
        now = time.monotonic()
        if packet.stream is not self._stream and packet.stream_index != self._stream.index:
            if self._sound is not None and packet.stream_index == self._sound.index:
                self._sound.push(packet)
            self._check_silence(now)
            return []
        self._silent_since = now
        if packet.size:
            self._read += 1
        whole = self._decoder.whole(packet)
        if self._keeper is not None:
            for each in whole:
                self._keeper.push(each)
        frames = [frame for each in whole if not self._put_off(each) for frame in self._decode(each)]
        if not frames:
            self._check_silence(now)
        return frames

    def _put_off(self, packet: Any) -> bool:
        """Return whether the packet is not decoded now, as nobody needs its picture: it is left out, or held."""
        if self._spared is None or (time := self._repair.expected(packet.pts, packet.time_base)) is None:
            return False
        if not self._spared(time):
            return False
        if not self._decoder.disposable(packet):
            return self._decoder.hold(packet)
        self._decoded += 1
        self.left_out += 1
        if self._wanted is not None:
            # It is counted as the others are; whoever would want it by now is too late.
            self._wanted(time)
        return True

    def _decode(self, packet: Any) -> list[av.VideoFrame]:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            frames = None
        if frames is None:
            remedy = "Have it sent progressive, or as yuv420p"
            raise UnsupportedMedia(self.url, "its interlaced pictures cannot be made whole", remedy)
        if self._decoder.lost:
            if self.live:
                raise SourceEnded(self.url, f"what comes is no {self.codec} any more", "Wait: it is opened again")
            raise UnsupportedMedia(self.url, "its codec changes on the way", "Convert it to H.264 throughout")
        return frames

    def _remainder(self) -> list[av.VideoFrame] | None:
        """Return what the decoder still holds when reading failed, once; then None."""
        if self._drained:
            return None
        self._drained = True
        return self._decoder.finish()

    def _sound_tap(self) -> SoundTap | None:
        tell, tracks = self._tell, [one for one in self._container.streams.audio if one.codec_context is not None]
        if tell is None or not tracks:
            return None
        best: Any = self._container.streams.best("audio")
        return SoundTap(best if best in tracks else tracks[0], tell)

    def _check_silence(self, now: float) -> None:
        limit = self._options.read_timeout
        # Sound without pictures, or pictures of which none can be decoded, is a frozen source all the same.
        if self.live and (now - self._silent_since > limit or now - self._blind_since > 3 * limit):
            raise SourceTimeout(self.url, "the source sends no pictures any more", "Check the source")

    def _check_clock(self, frames: list[av.VideoFrame], now: float) -> None:
        stamps = {frame.pts for frame in frames}
        if stamps != {self._stamp} or self._stamp is None:
            self._stamp, self._moved = frames[-1].pts, now
        elif self.live and now - self._moved > self._options.read_timeout:
            cause = "it sends the same moment over and over"
            raise SourceTimeout(self.url, cause, "Check the sender; it is opened again")

    def _picture(self, frame: av.VideoFrame) -> Picture:
        check_size(self.url, frame.width, frame.height, self._options.max_pixels)
        try:
            if self._upright is None or frame.rotation:
                self._upright = not bears_matrix(frame)
            picture = picture_of(frame, upright=self._upright)
        except (av.FFmpegError, ValueError):
            picture = None
        if picture is None:
            cause = f"the pixel format {frame.format.name} cannot be converted"
            raise UnsupportedMedia(self.url, cause, "Convert it to yuv420p")
        self.width, self.height = picture.width, picture.height
        return picture

    def _finish(self) -> None:
        """Judge the end of the stream: nothing is raised for a file that came whole."""
        if self._packets.broken is not None:
            raise self._packets.broken
        if self.live:
            raise SourceEnded(self.url, "the stream ended", "Check the source")
        if self._decoder.decoded == 0:
            if self._read == 0:
                raise EmptyMedia(self.url, "it holds no pictures", "Record or copy it again")
            raise CorruptMedia(self.url, "not one picture could be decoded", "Check or copy it again")
        if cut_short(self._stream.frames, self._read, self.duration, self._reached, self.average_rate):
            cause = f"it breaks off after {self._reached:.1f} of {self.duration or 0.0:.1f} s"
            raise CorruptMedia(self.url, cause, "Copy or download it again")
