"""What `make bench-streams` prints and writes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from tests.benchmarks.streams.trial import Limits, Outcome

SCHEMA = "streamguard.bench-streams/1"


@dataclass(frozen=True, slots=True)
class Floor:
    """CPU milliseconds per judged picture that no arrangement saves: every picture decoded, the judged one inferred.

    Attributes:
        decode: of all pictures of the source between two judged ones.
        infer: of one crop.
    """

    decode: float
    infer: float

    @property
    def both(self) -> float:
        """Together."""
        return self.decode + self.infer


def trials(title: str, found: Mapping[str, Sequence[Outcome]]) -> Table:
    """A row for each trial of each contestant."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = (
        "judged/s: the slowest stream, and the median one; p50, p95: ms from capture to verdict; decoded: of all "
        "pictures; CPU: of all cores; ms each: CPU per judged picture"
    )
    for column in ("", "streams", "judged/s", "p50", "p95", "decoded", "CPU", "ms each", "result"):
        table.add_column(column, justify="left" if column in {"", "result"} else "right", no_wrap=column != "result")
    for name, outcomes in found.items():
        for one in sorted(outcomes, key=lambda each: each.streams):
            table.add_row(
                name,
                str(one.streams),
                f"{min(one.judged):.2f} {statistics.median(one.judged):.2f}",
                _ms(one.p50),
                _ms(one.p95),
                f"{one.decoded:.0%}",
                f"{one.cpu:.0%}",
                "-" if one.cost is None else f"{one.cost:.1f}",
                "held" if one.held else one.reason,
            )
        table.add_section()
    return table


def spent(name: str, best: Outcome, floor: Floor) -> Table:
    """Where a contestant's time goes, beside the floor."""
    table = Table(title=f"{name}, {best.streams} stream(s): CPU per judged picture", title_justify="left")
    for column in ("stage", "ms", "share", "floor, ms"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    floors = {"decode": floor.decode, "infer": floor.infer}
    whole = sum(best.stages.values())
    for stage, ms in best.stages.items():
        bare = f"{floors[stage]:.2f}" if stage in floors else ""
        table.add_row(stage, f"{ms:.2f}", f"{ms / whole:.0%}" if whole else "-", bare)
    table.add_row("all", f"{whole:.2f}", "100%", f"{floor.both:.2f}", style="bold")
    table.caption = f"{whole / floor.both:.2f}x the floor: decoding every picture and inferring the judged ones, alone"
    return table


def summary(held: Mapping[str, int], limits: Limits, cores: int) -> str:
    """One line for each contestant, the first one beside each other."""
    first = next(iter(held))
    lines = [
        f"streams sustained on {cores} core(s), {limits.rate:g} judged/s each, p95 < {limits.latency * 1e3:.0f} ms:"
    ]
    for name, count in held.items():
        beside = f"  ({held[first] / count:.1f}x as many by {first})" if name != first and count else ""
        lines.append(f"  {name}: {count}{beside}")
    return "\n".join(lines)


def document(
    held: Mapping[str, int], found: Mapping[str, Sequence[Outcome]], floor: Floor, limits: Limits, cores: int
) -> dict[str, Any]:
    """Everything measured, for `--json`."""
    return {
        "schema": SCHEMA,
        "cores": cores,
        "limits": {"judged_per_second": limits.rate, "p95_seconds": limits.latency},
        "floor_ms": {"decode": floor.decode, "infer": floor.infer},
        "contestants": [
            {
                "name": name,
                "about": outcomes[0].about if outcomes else "",
                "sustained": held[name],
                "trials": [
                    {
                        "streams": one.streams,
                        "held": one.held,
                        "reason": one.reason,
                        "judged_per_second": list(one.judged),
                        "p50_seconds": one.p50,
                        "p95_seconds": one.p95,
                        "decoded": one.decoded,
                        "cpu": one.cpu,
                        "cpu_ms_per_judged": one.cost,
                        "stage_ms": dict(one.stages),
                    }
                    for one in outcomes
                ],
            }
            for name, outcomes in found.items()
        ],
    }


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.0f}"
