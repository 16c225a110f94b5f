"""Put the tables of metrics/comparison.md into README.md, between its markers: `python docs/refresh_readme.py`."""

from __future__ import annotations

import re
from pathlib import Path

BEGIN, END = "<!-- results: made by docs/refresh_readme.py -->", "<!-- end of results -->"


def results(comparison: str) -> str:
    """The tables of the comparison: from its first section to the pictures."""
    tables = comparison[comparison.index("## Recipes") : comparison.index("![")]
    bold = re.sub(r"^## (.*)$", r"**\1**", tables, flags=re.MULTILINE)
    return bold.replace("](../", "](").strip()  # the page lies a folder deeper


def refreshed(readme: str, comparison: str) -> str:
    """The README with the tables of this comparison."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{results(comparison)}\n{END}{after}"


if __name__ == "__main__":
    path = Path("README.md")
    path.write_text(refreshed(path.read_text(), Path("metrics/comparison.md").read_text()))
