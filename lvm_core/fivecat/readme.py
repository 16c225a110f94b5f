"""The README.md of a model directory, for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.resources import files

import jinja2

from lvm_core.bank import SPLITS, Bank, split_sizes
from lvm_core.config.figures import SPLITS as REPORTED
from lvm_core.fivecat.statistics import Judgement
from lvm_core.models.checkpoint import ModelInfo
from lvm_core.runtime.errors import printable

SHOWN = {
    f"{split}_{key}": f"{title} on `{split}`"
    for split in REPORTED
    for key, title in {"recall_at_5": "R@5", "mrr": "MRR", "cosine": "cosine"}.items()
}
"""Figures of the table, by their titles."""


def model_readme(name: str, info: ModelInfo, bank: Bank, judged: Mapping[str, Judgement], note: str = "") -> str:
    """What a person needs to know of a final model, as Markdown.

    Args:
        name: of the model.
        info: of the model.
        bank: that it was trained on.
        judged: the model itself under its name, and the reference predictors to be shown beside it.
        note: a sentence on it, in the first paragraph.
    """
    source = files("lvm_core.fivecat").joinpath("model.md.j2").read_text(encoding="utf-8")
    template = jinja2.Template(
        source, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    groups = bank.articles.groupby("source", sort=False)
    sources = {printable(one).replace("|", "/"): split_sizes(articles) for one, articles in groups}
    parts = [(one, split, sizes[split]) for split in SPLITS for one, sizes in sources.items()]
    row = next((row for row in info.history if row["epoch"] == info.epoch), None)
    return template.render(
        name=name,
        info=info,
        note=note,
        row=row,
        parts=[part for part in parts if part[2]["articles"]],
        sources=sources,
        titles=SHOWN.values(),
        figures={row: [(one.value[key], *one.interval(key)) for key in SHOWN] for row, one in judged.items()},
        number=lambda value: "-" if value is None or math.isnan(value) else f"{value:.4f}",
    )
