"""Settings of `streamguard serve`: a TOML file, over it the environment, over that the command line."""

from streamguard.config.changes import Changes, Entries, apply, diff
from streamguard.config.reading import Loaded, load_config, read_config
from streamguard.config.sections import (
    STREAM_NAME,
    AlertSettings,
    EngineSettings,
    EvidenceSettings,
    IceServerSettings,
    Location,
    Scope,
    ServerSettings,
    TlsSettings,
    TokenSettings,
)
from streamguard.config.streams import RuleSettings, SamplingSettings, StreamSettings, missing_folders, subscribed
from streamguard.config.whole import Config

__all__ = [
    "STREAM_NAME",
    "AlertSettings",
    "Changes",
    "Config",
    "EngineSettings",
    "Entries",
    "EvidenceSettings",
    "IceServerSettings",
    "Loaded",
    "Location",
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
