"""Figures in words and digits, alike in the terminal and in the report."""

from __future__ import annotations

from streamguard.training.evaluation.metrics import Figure

NONE = "\N{EN DASH}"
DISCLAIMER = (
    "Automated estimate that may be wrong. These figures hold for the clips listed here; "
    "other people, generators, cameras and bit rates can give others."
)


def number(value: float | None, digits: int = 3) -> str:
    """The number, or a dash where there is none."""
    return NONE if value is None else f"{value:.{digits}f}"


def interval(figure: Figure) -> str:
    """The interval as "0.812 to 0.934"; empty where there is none."""
    return "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"


def seconds(value: float | None) -> str:
    """Seconds to a hundredth, or a dash."""
    return NONE if value is None else f"{value:.2f} s"
