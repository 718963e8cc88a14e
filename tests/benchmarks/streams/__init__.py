"""`make bench-streams`: how many live streams one machine sustains, beside other ways to do it."""

from __future__ import annotations
