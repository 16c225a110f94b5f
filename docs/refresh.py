"""Put the figures of the committed run into the documents, between their markers: `python docs/refresh.py`."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

BEGIN, END = "<!-- results: made by docs/refresh.py -->", "<!-- end of results -->"

SHOWN = ("oracle", "copy_last", "context_mean", "corpus_mean")
FIGURES = (
    *("recall_at_1", "recall_at_5", "mrr", "recall_at_5_unmasked", "full_bank_recall_at_5", "contrastive_accuracy"),
    *("cosine", "centred_cosine", "par", "raw_norm", "margin", "margin_last", "margin_unseen", "rollout"),
    *("published_margin", "published_rollout"),
)


def results(comparison: str) -> str:
    """The tables of recipes and references of metrics/comparison.md, for a page one folder higher."""
    tables = comparison[comparison.index("## Recipes") : comparison.index("## Figures that reward blur")]
    bold = re.sub(r"^## (.*)$", r"**\1**", tables, flags=re.MULTILINE)
    return bold.replace("](../", "](").strip()


def yardstick(table: pd.DataFrame) -> str:
    """What some reference predictors score on each figure of `val`.

    Args:
        table: metrics/comparison.csv, indexed by name.
    """
    lines = ["| figure | " + " | ".join(f"`{name}`" for name in SHOWN) + " |", "|---|" + "---:|" * len(SHOWN)]
    for figure in FIGURES:
        values = table[f"val_{figure}"]
        cells = [f"{values[name]:.4f}" for name in SHOWN]
        lines.append(f"| `{figure}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def refreshed(document: str, made: str) -> str:
    """A document with this text between its markers."""
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def documents(root: Path) -> dict[Path, str]:
    """Every document with figures, as it should be."""
    table = pd.read_csv(root / "metrics/comparison.csv").set_index("name")
    made = {
        root / "README.md": results((root / "metrics/comparison.md").read_text()),
        root / "docs/how-to-read-the-numbers.md": yardstick(table),
    }
    return {path: refreshed(path.read_text(), text) for path, text in made.items()}


if __name__ == "__main__":
    for path, text in documents(Path()).items():
        path.write_text(text)
