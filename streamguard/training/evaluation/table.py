"""Sheets in the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.sheets import Cell, Sheet
from streamguard.training.evaluation.wording import NONE, number


def sheet_table(sheet: Sheet) -> Table:
    """The sheet; names from outside are no markup."""
    table = Table(
        title=Text(sheet.title),
        caption=Text(sheet.remark),
        title_justify="left",
        caption_justify="left",
        padding=(0, 1),
    )
    for index, head in enumerate(sheet.heads):
        table.add_column(head, justify="right" if index else "left", overflow="fold")
    for row in sheet.rows:
        table.add_row(*map(_text, row))
    return table


def _text(cell: Cell) -> Text:
    if isinstance(cell, Figure):
        if cell.value is None:
            return Text(NONE, style="dim")
        spread = "" if cell.low is None or cell.high is None else f"{cell.low:.2f}\N{EN DASH}{cell.high:.2f}"
        cell = number(cell.value), spread
    over, under = (cell, "") if isinstance(cell, str) else cell
    return Text(over).append(f"\n{under}", style="dim") if under else Text(over)
