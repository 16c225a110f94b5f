"""The fenced code of the documents."""

from __future__ import annotations

import re

from tests.paths import ROOT


def blocks(document: str, language: str) -> list[str]:
    """Contents of the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
