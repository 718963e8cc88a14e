"""A search over what trainings differ in: many short ones, all judged on the same held-out faces."""

from __future__ import annotations

from streamguard.training.search.space import DIMENSIONS, LEFT_OUT, Space
from streamguard.training.search.study import SAMPLERS, Plan, Searched, Standing, search
from streamguard.training.search.trial import OBJECTIVES, Budget

__all__ = [
    "DIMENSIONS",
    "LEFT_OUT",
    "OBJECTIVES",
    "SAMPLERS",
    "Budget",
    "Plan",
    "Searched",
    "Space",
    "Standing",
    "search",
]
