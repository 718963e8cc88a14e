"""Many streams on one machine: the hub, live streams, their viewers and events, load and admission. No HTTP."""

from __future__ import annotations
