"""Many machines: whole streams spread over workers, with the alerts database as the one shared truth."""

from __future__ import annotations
