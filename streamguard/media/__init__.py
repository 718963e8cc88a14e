"""Bytes to frames and back. Nothing outside this package touches libav."""

from streamguard.media.address import SourceOptions
from streamguard.media.backoff import Backoff
from streamguard.media.encoder import Mp4Writer
from streamguard.media.items import Down, SourceItem, Up
from streamguard.media.picture import frame_of, picture_from_rgb, picture_of, rgb_of, scaled
from streamguard.media.reader import FrameReader, Taps
from streamguard.media.recode import Codec, Recoder, recode
from streamguard.media.sound import SoundListener, SoundPacket
from streamguard.media.source import DecodedFrame, VideoSource, open_source
from streamguard.media.supervisor import Retry, SourceSupervisor
from streamguard.media.timestamps import TimestampRepair

__all__ = [
    "Backoff",
    "Codec",
    "DecodedFrame",
    "Down",
    "FrameReader",
    "Mp4Writer",
    "Recoder",
    "Retry",
    "SoundListener",
    "SoundPacket",
    "SourceItem",
    "SourceOptions",
    "SourceSupervisor",
    "Taps",
    "TimestampRepair",
    "Up",
    "VideoSource",
    "frame_of",
    "open_source",
    "picture_from_rgb",
    "picture_of",
    "recode",
    "rgb_of",
    "scaled",
]
