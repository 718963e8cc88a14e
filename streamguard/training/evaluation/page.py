"""The report page's styles and its timelines."""

from __future__ import annotations

from collections.abc import Sequence

from streamguard.training.evaluation.records import FrameRecord

WIDTH, HEIGHT = 160, 32
POINTS = 160

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1c1f24; --soft: #5a6270; --line:
#dfe3e8;
  --first: #0072b2; --good: #1d7a46; --bad: #b3261e; --notice: #fff4d6; --notice-line: #e0b94a; }
@media (prefers-color-scheme: dark) { :root { --page: #14161a; --card: #1d2026; --ink: #e6e8eb; --soft:
#a3abb8;
  --line: #343943; --first: #56b4e9; --good: #6fcf97; --bad: #ff8a80; --notice: #332b14; --notice-line:
  #8a7430; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); column-gap: 1rem;
  align-items: start; }
header, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.1rem 1.25rem; margin: 0 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .8rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .7rem; }
.eyebrow { margin: 0; color: var(--soft); font-size: .85rem; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0 0 1rem; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.notice { background: var(--notice); border-left: 4px solid var(--notice-line); border-radius: 6px;
  padding: .6rem .8rem; margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; vertical-align: top; padding: .45rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; padding-left: 0; font-weight: 500; min-width: 7rem; overflow-wrap: anywhere; }
td:last-child, th:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 500; font-size: .85rem; vertical-align: bottom; }
tbody tr:last-child > * { border-bottom: 0; }
.small { color: var(--soft); font-size: .82rem; font-weight: 400; }
.keep { white-space: nowrap; }
p.small { margin: .7rem 0 0; }
.good { color: var(--good); font-size: .82rem; }
.bad { color: var(--bad); font-size: .82rem; font-weight: 600; white-space: nowrap; }
.unknown { color: var(--soft); font-size: .82rem; white-space: nowrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1rem; }
figure { margin: 0; }
figure img { width: 100%; max-width: 27rem; height: auto; display: block; margin: 0 auto; }
figcaption { color: var(--soft); font-size: .85rem; text-align: center; }
ul { margin: 0 0 1rem; padding-left: 1.2rem; }
li { margin: .25rem 0; overflow-wrap: anywhere; }
svg { display: block; margin-left: auto; }
svg path { fill: none; stroke: var(--first); stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round; }
svg line { stroke: var(--soft); stroke-dasharray: 3 3; stroke-width: .7; }
svg rect { fill: var(--line); opacity: .35; }
@media (max-width: 40rem) {
  main { padding: .6rem; }
  header, section { padding: .9rem; }
  th, td { padding: .4rem .3rem; }
  th:first-child { min-width: 5rem; }
  .keep { font-size: .75rem; }
  table.wide, table.wide tbody, table.wide tr, table.wide th, table.wide td { display: block; }
  table.wide thead { display: none; }
  table.wide tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  table.wide tr:last-child { border-bottom: 0; }
  table.wide th, table.wide td { border: 0; padding: .12rem 0; }
  table.wide td { display: flow-root; }
  table.wide td::before { content: attr(data-head); float: left; color: var(--soft); font-size: .85rem; }
}
"""


def sparkline(frames: Sequence[FrameRecord]) -> str:
    """A clip's scores over time as a small inline SVG; long clips are thinned by taking means."""
    if not frames:
        return ""
    start, end = frames[0].time, frames[-1].time
    span = max(end - start, 1e-9)
    slots: list[list[float]] = [[] for _ in range(min(POINTS, len(frames)))]
    blind = [False] * len(slots)
    for frame in frames:
        slot = min(int((frame.time - start) / span * len(slots)), len(slots) - 1)
        if frame.score is None:
            blind[slot] = True
        else:
            slots[slot].append(frame.score)
    step = (WIDTH - 4) / max(len(slots) - 1, 1)
    path, pen_down = [], False
    for index, scores in enumerate(slots):
        if not scores:
            # A slot without any frame is only thin sampling; a slot of unjudged frames is a gap to be seen.
            pen_down = pen_down and not blind[index]
            continue
        x, y = 2 + index * step, 2 + (1 - sum(scores) / len(scores)) * (HEIGHT - 4)
        # The zero-length line lets a lone point between two gaps show as a dot.
        path.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}" + ("" if pen_down else "h0"))
        pen_down = True
    middle = HEIGHT / 2
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    return (
        f'<svg {size} viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="score over time">'
        f'<rect {size} rx="3"/><line x1="0" x2="{WIDTH}" y1="{middle}" y2="{middle}"/>'
        f'<path d="{"".join(path)}"/></svg>'
    )
