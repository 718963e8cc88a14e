"""Writing pictures to an MP4 file that exists whole or not at all."""

from __future__ import annotations

import contextlib
import errno
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.codec
import av.container
import av.video.stream
from av.video.reformatter import ColorRange, Colorspace

from streamguard.errors import OutputError
from streamguard.files import publish
from streamguard.media.failures import output_failure
from streamguard.media.picture import frame_of
from streamguard.media.soundtrack import SoundTrack
from streamguard.types import Picture

_CLOCK = 90_000
_KEYFRAME_SECONDS = 2
_SWS = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}


class Mp4Writer:
    """Encodes pictures at their own times into `path`, by way of `path.partial`; a context manager.

    The file appears under its name when the writer closes without an error; otherwise nothing is left. Playable from
    its beginning while it downloads; without B-frames. Odd sizes are filled up to even ones by repeating the last
    row or column; pictures of another size, matrix or range than the first are converted. Blocks: call it in an
    executor.

    Args:
        path: the file to write; its folder must exist, a file of that name is replaced.
        width, height: picture size; pictures are scaled to it.
        rate: nominal frames per second, for the duration of the last picture.
        codec: libav's name of the encoder ("libx264", "mpeg4").
        crf: constant quality of x264, 0 (best) to 51; other encoders take it for a quantiser.
        preset: x264's trade of speed for size.

    Raises:
        OutputError: no folder, no rights, no space, no such encoder; from any method.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        rate: float,
        *,
        codec: str = "libx264",
        crf: int = 23,
        preset: str = "veryfast",
    ) -> None:
        if width < 1 or height < 1:
            raise OutputError(str(path), f"a picture cannot be {width}x{height}", "Give a positive size")
        self.path = Path(path)
        self._partial = self.path.with_name(f"{self.path.name}.partial")
        self._size = (width + width % 2, height + height % 2)
        self._rate = Fraction(rate).limit_denominator(1001) if 0 < rate <= 1000 else Fraction(25)
        self._codec, self._crf, self._preset = codec, crf, preset
        self._colour: tuple[str, bool] | None = None
        self._last_pts: int | None = None
        self._zero = 0.0
        self._written = 0
        self._stream: av.video.stream.VideoStream | None = None
        self._container: av.container.OutputContainer | None = None
        if self.path.is_dir():
            raise output_failure(path, IsADirectoryError(errno.EISDIR, ""))
        with self._mapped():
            if av.codec.Codec(codec, "w").type != "video":
                raise ValueError
            # libav opens it at the first picture only; a wrong folder is to be known now.
            self._partial.touch()
            self._container = av.open(f"file:{self._partial}", "w", format="mp4", options={"movflags": "+faststart"})
            self._stream = self._add_stream(self._container)

    @property
    def written(self) -> int:
        """Pictures written."""
        return self._written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, picture: Picture, time: float) -> None:
        """Add a picture.

        Args:
            picture: of any size; the first one fixes the file's colour matrix and range.
            time: seconds, counted from the first picture's; one that does not rise is moved just behind its
                predecessor.
        """
        if self._container is None or self._stream is None:
            raise OutputError(str(self.path), "the file is closed already", "Open another writer")
        with self._mapped():
            frame = self._fit(picture)
            if self._colour is None:
                self._colour = (picture.matrix, picture.full_range)
                self._tag(frame)
            if self._last_pts is None:
                self._zero = time
            pts = round((time - self._zero) * _CLOCK)
            if self._last_pts is not None:
                pts = max(pts, self._last_pts + 1)
            frame.pts, frame.time_base, self._last_pts = pts, Fraction(1, _CLOCK), pts
            frame.duration = round(_CLOCK / self._rate)
            self._container.mux(self._stream.encode(frame))
        self._written += 1

    def close(self, sound: SoundTrack | None = None) -> None:
        """Finish the file and give it its name. A no-op when it is closed.

        Args:
            sound: what is put beside the pictures, where any was heard.
        """
        if self._container is None or self._stream is None:
            return
        if self._written == 0:
            self.abort()
            raise OutputError(str(self.path), "no picture was written to it", "Write at least one")
        with self._mapped():
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None
            if sound is not None and sound.heard:
                mixed = self._partial.with_suffix(".mixed")
                try:
                    sound.mix(self._partial, mixed)
                    mixed.replace(self._partial)
                finally:
                    mixed.unlink(missing_ok=True)
            publish(self._partial, self.path)

    def abort(self) -> None:
        """Give up: what was written is removed. A no-op when the file is closed."""
        container, self._container, self._stream = self._container, None, None
        if container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                container.close()
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def _add_stream(self, container: av.container.OutputContainer) -> av.video.stream.VideoStream:
        x26x = self._codec.startswith("libx26")
        options = {"crf": str(self._crf), "preset": self._preset} if x26x else {}
        stream: Any = container.add_stream(self._codec, rate=self._rate, options=options)
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.max_b_frames = 0
        stream.codec_context.gop_size = max(1, round(_KEYFRAME_SECONDS * self._rate))
        # MPEG-4 part 2 counts its time in 16 bits.
        stream.codec_context.time_base = Fraction(1, _CLOCK if x26x else _CLOCK // 2)
        if not x26x:
            stream.codec_context.qmin = stream.codec_context.qmax = max(1, min(31, self._crf))
        return stream  # type: ignore[no-any-return]  # an Any, as PyAV declares half of what it has

    def _tag(self, frame: av.VideoFrame) -> None:
        context: Any = self._stream.codec_context if self._stream else None
        context.colorspace, context.color_range = frame.colorspace, frame.color_range
        # Primaries and transfer of BT.709 and of BT.601 (525 lines; ITU-T H.273).
        context.color_primaries = context.color_trc = 1 if frame.colorspace == Colorspace.ITU709 else 6

    def _fit(self, picture: Picture) -> av.VideoFrame:
        width, height = self._size
        own = (picture.matrix, picture.full_range)
        matrix, full_range = self._colour or own
        even = (picture.width + picture.width % 2, picture.height + picture.height % 2)
        frame = frame_of(picture, width=even[0], height=even[1])
        if even == self._size and own == (matrix, full_range):
            return frame
        return frame.reformat(
            width=width,
            height=height,
            format="yuv420p",
            src_colorspace=_SWS[picture.matrix],
            dst_colorspace=_SWS[matrix],
            src_color_range=ColorRange.JPEG if picture.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            threads=1,
        )

    @contextlib.contextmanager
    def _mapped(self) -> Any:
        try:
            yield
            return
        except (av.FFmpegError, OSError, ValueError) as foreign:
            error = output_failure(self.path, foreign)
        self.abort()
        raise error
