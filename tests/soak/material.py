"""What the generated streams play: a real portrait, half of the time with a swapped face, every picture numbered.

Run as a program it writes the clips: encoding leaves no memory behind in the process that is measured then.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from streamguard.files import write_bytes, write_text
from streamguard.media import Mp4Writer
from streamguard.types import Picture
from tests.soak.mark import BITS, marked
from tests.support.transport import transport_units

_VIDEO = 0x100
"""The packet identifier that libav gives the first track of a transport stream."""
_QUALITY = 26


@dataclass(frozen=True, slots=True)
class Material:
    """What is to be made.

    Attributes:
        rate: pictures per second.
        seconds: after which the pictures begin anew, the first half of them real, the second fake.
        length: seconds of transport stream, in which timestamps only rise.
        sizes: width and height of each clip, in pixels.
    """

    rate: float
    seconds: float
    length: float
    sizes: tuple[tuple[int, int], ...]

    @property
    def pictures(self) -> int:
        """After so many the pictures begin anew."""
        return min(round(self.rate * self.seconds), 1 << BITS)

    def clips(self, folder: Path) -> list[Path]:
        """Where they lie, in the order of the sizes."""
        return [folder / f"{width}x{height}.ts" for width, height in self.sizes]


def write_material(material: Material, folder: Path) -> None:
    """Make the clips and their indices.

    Raises:
        OutputError: they cannot be written.
    """
    from streamguard.training.portrait_clip import portrait_frames

    for path, (width, height) in zip(material.clips(folder), material.sizes, strict=True):
        seconds = material.pictures / material.rate
        pictures = portrait_frames(seconds, seconds / 2, material.rate, width, height, seed=7)
        write_clip(path, pictures, material.rate, material.length)


def write_clip(path: Path, pictures: Iterable[Picture], rate: float, length: float) -> None:
    """Number the pictures, and write them over and over for so many seconds, with an index for the feeder.

    Args:
        path: the transport stream; its index gets the same name with `.json`.
        pictures: of one size, at most 4096.
        rate: pictures per second.
        length: seconds.

    Raises:
        OutputError: it cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        once = Path(folder) / "once.mp4"
        writer: Mp4Writer | None = None
        for number, picture in enumerate(pictures):
            writer = writer or Mp4Writer(once, picture.width, picture.height, rate, crf=_QUALITY)
            writer.write(marked(picture, number), number / rate)
        if writer is not None:
            writer.close()
        units, _ = transport_units(once, length)
    begins, data = [], bytearray()
    for time, unit in units:
        begins.append((round(time, 6), len(data), _is_key(unit)))
        data += unit
    write_bytes(path, bytes(data))
    write_text(path.with_suffix(".json"), json.dumps({"length": len(units) / rate, "pictures": begins}))


def _is_key(unit: bytes) -> bool:
    """Whether the picture's first packet bears the random access indicator (ISO/IEC 13818-1, 2.4.3.5)."""
    for begin in range(0, len(unit), 188):
        packet = unit[begin : begin + 188]
        identifier = (packet[1] & 0x1F) << 8 | packet[2]
        if identifier == _VIDEO:
            return bool(packet[3] & 0x20 and packet[4] and packet[5] & 0x40)
    return False


def as_json(material: Material) -> str:
    """For the program's first argument; the folder is its second."""
    return json.dumps(asdict(material))


def main() -> None:
    """Write what the arguments say."""
    wanted = json.loads(sys.argv[1])
    sizes = tuple((width, height) for width, height in wanted["sizes"])
    write_material(Material(wanted["rate"], wanted["seconds"], wanted["length"], sizes), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
