"""The fenced code of the documents, and what docs/refresh.py has put into them."""

from __future__ import annotations

import re

from tests.paths import ROOT


def blocks(document: str, language: str) -> list[str]:
    """Contents of the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


def made(document: str, what: str) -> str:
    """What stands between the markers of `what`."""
    _, rest = (ROOT / document).read_text().split(f"<!-- {what}: made by docs/refresh.py -->")
    return rest.split(f"<!-- end of {what} -->")[0]
