"""Fields of json lines and columns of tables that hold an article: their names, and their values."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from lvm_core.corpus.decode import check_characters
from lvm_core.runtime.errors import LvmError, printable
from lvm_core.runtime.tables import as_label

USUAL = {"text": ("text", "content", "body"), "id": ("id",), "title": ("title", "url")}
"""Names that are looked for in this order where `data.text_column` and the like are null; case matters only where two
differ in nothing else."""


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
            if chosen[field.name] is None and not given:
                same = {str(name).strip().lower(): name for name in reversed([*there])}
                chosen[field.name] = next((same[name] for name in names if name in same), None)
            if chosen[field.name] is None and (given or field.name == "text"):
                parameter, known = f"data.{field.name}_column", printable(", ".join(map(str, there))) or "none"
                usual = "" if given else f" (or {', '.join(names[1:])})"
                remedy = f"correct {parameter}" if given else f"name the right one as {parameter}"
                raise LvmError(f'{where}: the field "{names[0]}"{usual} is missing, there are: {known}; {remedy}')
        return Fields(**chosen)


def is_missing(text: Any) -> bool:
    """Whether a text is none: null, or what Python writes into json for the NaN of pandas."""
    return text is None or (isinstance(text, float) and math.isnan(text))


def label(value: Any, what: str, kind: str) -> str | None:
    """An `id` or `title` (`kind`) as text, as `as_label`."""
    text = as_label(value, what, f"correct it, or name another as data.{kind}_column")
    check_characters(text or "", what)
    return text
