"""Decoding on a device where there is one, in software everywhere else."""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeAlias

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from streamguard.logs import get_logger

log = get_logger(__name__)

Hardware: TypeAlias = Literal["off", "auto", "cuda", "vaapi", "qsv", "vdpau", "videotoolbox", "d3d11va"]
_BEST_FIRST = ("cuda", "vaapi", "qsv", "videotoolbox", "d3d11va", "vdpau")
_PROBED = ("h264", "hevc")
"""Codecs of which one must be decoded by a device for it to be of use."""


def accelerator(wanted: Hardware) -> HWAccel | None:
    """Return libav's hardware decoder; None for software.

    A codec or picture that the device does not take is decoded in software by libav itself.

    Args:
        wanted: `off`, a device, or `auto` for the first one that is here. A device that is not here, or that libav was
            built without, is told in the log once, and software takes its place.
    """
    if wanted == "off":
        return None
    devices = _BEST_FIRST if wanted == "auto" else (wanted,)
    device = next((name for name in devices if usable(name)), None)
    if device is None:
        _tell(wanted)
        return None
    return HWAccel(device, allow_software_fallback=True)


@cache
def usable(device: str) -> bool:
    """Return whether the device can be opened here; asked once in the life of the process."""
    if device not in hwdevices_available():
        return False
    for codec in _PROBED:
        try:
            if av.CodecContext.create(codec, "r", hwaccel=HWAccel(device)).is_hwaccel:
                return True
        except (av.FFmpegError, OSError, NotImplementedError, RuntimeError):
            continue
    return False


@cache
def _tell(wanted: str) -> None:
    if wanted == "auto":
        log.info("no device that decodes video was found: it is decoded in software")
    else:
        log.warning("device cannot be used here: video is decoded in software", device=wanted)
