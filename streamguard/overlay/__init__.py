"""Masks, boxes, labels and the stream's verdict painted onto planar pictures, region by region."""

from __future__ import annotations

from streamguard.overlay.mask import follow
from streamguard.overlay.paint import banner, banner_height, paint
from streamguard.overlay.style import OverlayItem, OverlayStyle

__all__ = ["OverlayItem", "OverlayStyle", "banner", "banner_height", "follow", "paint"]
