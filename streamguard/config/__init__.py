"""Settings of `streamguard serve`: a TOML file, over it the environment, over that the command line."""

from streamguard.config.changes import Changes, Entries, apply, diff
from streamguard.config.reading import Loaded, load_config, read_config
from streamguard.config.section import LIVE_NAME, STREAM_NAME, Location
from streamguard.config.sections import (
    AlertSettings,
    CheckSettings,
    ClusterSettings,
    EngineSettings,
    EvidenceSettings,
    IceServerSettings,
    ServerSettings,
    TlsSettings,
)
from streamguard.config.sign_on import Scope, TokenSettings
from streamguard.config.streams import (
    RoomSettings,
    RuleSettings,
    SamplingSettings,
    StreamSettings,
    missing_folders,
    subscribed,
)
from streamguard.config.whole import Config

__all__ = [
    "LIVE_NAME",
    "STREAM_NAME",
    "AlertSettings",
    "Changes",
    "CheckSettings",
    "ClusterSettings",
    "Config",
    "EngineSettings",
    "Entries",
    "EvidenceSettings",
    "IceServerSettings",
    "Loaded",
    "Location",
    "RoomSettings",
    "RuleSettings",
    "SamplingSettings",
    "Scope",
    "ServerSettings",
    "StreamSettings",
    "TlsSettings",
    "TokenSettings",
    "apply",
    "diff",
    "load_config",
    "missing_folders",
    "read_config",
    "subscribed",
]
