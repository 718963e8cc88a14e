"""Evidence of an alert: pictures, a clip, a signed manifest, and links that expire."""

from streamguard.alerts.evidence.links import LinkSigner
from streamguard.alerts.evidence.manifest import ManifestSigner, verify_manifest
from streamguard.alerts.evidence.pictures import picture_files
from streamguard.alerts.evidence.store import EvidenceStore, Swept

__all__ = ["EvidenceStore", "LinkSigner", "ManifestSigner", "Swept", "picture_files", "verify_manifest"]
