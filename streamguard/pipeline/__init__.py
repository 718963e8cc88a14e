"""One stream's wiring, and the guard that holds many streams on one engine."""

from __future__ import annotations
