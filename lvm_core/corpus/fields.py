"""Fields of json lines and columns of tables that hold an article: their names, and values as text."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from lvm_core.corpus.decode import check_characters
from lvm_core.runtime.errors import LvmError, printable

USUAL = {"text": ("text", "content", "body"), "id": ("id",), "title": ("title", "url")}
"""Names that are looked for in this order where `data.text_column` and the like are null."""


@dataclass(frozen=True)
class Fields:
    """The names of `data.text_column`, `data.id_column` and `data.title_column`; None: the usual ones."""

    text: str | None = None
    id: str | None = None
    title: str | None = None

    def choose(self, there: Collection[str], where: str) -> Fields:
        """Names of the fields to read, of those that are there; id and title are None where there are no usual ones."""
        chosen: dict[str, str | None] = {}
        for field in fields(self):
            given = getattr(self, field.name)
            names = (given,) if given else USUAL[field.name]
            chosen[field.name] = next((name for name in names if name in there), None)
            if chosen[field.name] is None and (given or field.name == "text"):
                parameter, known = f"data.{field.name}_column", printable(", ".join(map(str, there))) or "none"
                usual = "" if given else f" (or {', '.join(names[1:])})"
                remedy = f"correct {parameter}" if given else f"name the right one as {parameter}"
                raise LvmError(f'{where}: the field "{names[0]}"{usual} is missing, there are: {known}; {remedy}')
        return Fields(**chosen)


def as_label(value: Any, what: str) -> str:
    """An id or title as text: a text, or a number (1.0, which pandas makes of 1 after a join, is 1)."""
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() else value
    elif isinstance(value, bool) or not isinstance(value, (str, int, UUID)):
        raise LvmError(f"{what} is {type(value).__name__}, must be a text or a number")
    text = str(value)
    check_characters(text, what)
    return text
