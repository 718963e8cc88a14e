"""A search over what trainings differ in: many short ones, all measured on the same held-out faces."""

from __future__ import annotations

from streamguard.training.search.space import DIMENSIONS, Space
from streamguard.training.search.study import SAMPLERS, Searched, SearchPlan, Standing, search

__all__ = ["DIMENSIONS", "SAMPLERS", "SearchPlan", "Searched", "Space", "Standing", "search"]
