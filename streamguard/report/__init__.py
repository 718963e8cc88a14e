"""Reports to read: self-contained HTML pages made of the templates beside this file."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["render_page"]

_ENVIRONMENT = Environment(
    loader=PackageLoader(__name__),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(template: str, **values: Any) -> str:
    """Return the page that a template makes of the values; text among them is escaped.

    Args:
        template: the file's name, such as `evaluation.html`.
        values: what the template shows.
    """
    return _ENVIRONMENT.get_template(template).render(values)
