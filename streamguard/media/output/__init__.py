"""Pictures and sound that leave: encoded once, pushed to servers, into files and folders."""

from streamguard.media.output.mixer import Heads, Mixer, OutPacket
from streamguard.media.output.push import Push, PushStatus
from streamguard.media.output.target import Target, clash, missing_folder, parse_target

__all__ = ["Heads", "Mixer", "OutPacket", "Push", "PushStatus", "Target", "clash", "missing_folder", "parse_target"]
