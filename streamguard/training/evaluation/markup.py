"""A report page's building blocks as HTML text: the document, sections, tables, figures and pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from html import escape

from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.page import STYLE
from streamguard.training.evaluation.pictures import DARK, LIGHT, Theme
from streamguard.training.evaluation.wording import NONE, interval, number


def document(title: str, sections: Iterable[str]) -> str:
    """The whole page. It loads nothing and runs nothing, and its content policy forbids the rest.

    Args:
        title: plain text.
        sections: HTML; empty ones are left out.
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(each for each in sections if each)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, body: str) -> str:
    """A card with a heading; `body` is HTML."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def remark(text: str) -> str:
    """Small print below a table; `text` is plain."""
    return f"<p class=small>{escape(text)}</p>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, wide: bool = False) -> str:
    """A table.

    Args:
        heads: plain text.
        rows: HTML of the cells, as many as heads.
        wide: on a phone it becomes a list of cards, where each cell needs its column's name beside it.
    """
    names = [escape(text) for text in heads]
    head = "".join(f"<th scope=col>{name}</th>" for name in names)
    body = ""
    for first, *rest in rows:
        cells = "".join(f'<td data-head="{name}">{cell}</td>' for name, cell in zip(names[1:], rest, strict=True))
        body += f"<tr><th scope=row>{first}</th>{cells}</tr>"
    filled = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<div class=scroll tabindex=0><table{' class=wide' if wide else ''}>{filled}</table></div>"


def figure_cell(figure: Figure, *, terse: bool = False, mark: str = "") -> str:
    """A figure with its interval below it, or the reason why there is none.

    Args:
        figure: the figure.
        terse: reasons become tooltips.
        mark: put behind the number.
    """
    why = escape(figure.reason or "")
    if figure.value is None:
        return f'<span title="{why}">{NONE}</span>' if terse else f"{NONE}<br><span class=small>{why}</span>"
    spread = interval(figure)
    below = f'<br><span class="small keep">{spread}</span>' if spread else ""
    if not (spread or terse):
        below = f"<br><span class=small>{why}</span>"
    return number(figure.value) + mark + below


def two_lines(text: str, under: str) -> str:
    """A cell of plain text, with plain small print under it."""
    return f'{escape(text)}<br><span class="small keep">{escape(under)}</span>' if under else escape(text)


def pictures(painters: Sequence[tuple[str, Callable[[Theme], bytes | None]]]) -> str:
    """Titled pictures side by side, each for light and dark; empty when there is nothing to draw."""
    shown = "".join(_picture(title, paint) for title, paint in painters)
    return f"<div class=figures>{shown}</div>" if shown else ""


def _picture(title: str, paint: Callable[[Theme], bytes | None]) -> str:
    light, dark = paint(LIGHT), paint(DARK)
    if light is None or dark is None:
        return ""
    day, night = (f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}" for png in (light, dark))
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{night}">'
        f'<img alt="{escape(title)}" src="{day}"></picture><figcaption>{escape(title)}</figcaption></figure>'
    )
