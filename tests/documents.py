"""The fenced code of the documents, and what docs/refresh.py has put into them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.paths import ROOT


def fenced(document: str) -> list[tuple[str, str]]:
    """Language and content of the fenced blocks, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


def blocks(document: str, language: str) -> list[str]:
    """Contents of the fenced blocks of one language, in order."""
    return [content for kind, content in fenced(document) if kind == language]


@dataclass
class Example:
    """Parameters that a document shows, and what it says comes of them."""

    data: dict[str, Any]
    """What is set in the group `data`."""
    printed: list[str] = field(default_factory=list)
    """Lines of the stage about the sources."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """A part of metrics/corpus.json."""


def examples(document: str) -> list[Example]:
    """Those of a document that read corpora/example."""
    found: list[Example] = []
    for kind, content in fenced(document):
        if kind == "yaml" and "corpora/example" in content:
            found.append(Example(yaml.safe_load(content)["data"]))
        elif kind == "text" and found:
            found[-1].printed += [line for line in content.splitlines() if re.match("(corpus|import) ", line)]
        elif kind == "json" and found:
            found[-1].metrics = json.loads(content)
    return found


def made(document: str, what: str) -> str:
    """What stands between the markers of `what`."""
    _, rest = (ROOT / document).read_text().split(f"<!-- {what}: made by docs/refresh.py -->")
    return rest.split(f"<!-- end of {what} -->")[0]
