"""Streams pulled by WHEP (draft-ietf-wish-whep): a WebRTC session made by one HTTP exchange."""
