"""The report: plots/report.html, the pages of metrics/ in Markdown, their pictures, tables and words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jinja2


def render(name: str, filters: dict[str, Callable[..., Any]], **values: Any) -> str:
    """A template of this package, filled in.

    Args:
        name: `*.md.j2`, or `*.html.j2`, where everything is escaped unless it is `Markup` or marked `safe` (our SVG).
        filters: of the template, by name.
        values: of its variables; one that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lvm_core.report", "."),
        autoescape=name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=name.endswith(".md.j2"),
    )
    environment.filters |= filters
    return environment.get_template(name).render(**values)
