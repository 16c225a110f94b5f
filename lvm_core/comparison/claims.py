"""The claims of the earlier work's summary, judged by the figures of this run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml

from lvm_core.comparison import claim_rules
from lvm_core.comparison.claim_rules import RULES, Evidence, Finding, Undefined, Verdict
from lvm_core.config.params import Group, validate
from lvm_core.fivecat.statistics import FEWEST_ARTICLES

FILE = "claims.yaml"


class Statement(Group):
    """A claim as it was made, and how it is judged."""

    key: str
    """Name for links, and of its function in `RULES`."""
    text: str
    """The claim."""
    source: str
    """Where the summary makes it."""
    rule: str
    """How it is judged, in words."""
    rows: list[str]
    """Rows of the comparison without which, trained through all phases, it cannot be judged."""
    by_interval: bool = True
    """Whether the verdict rests on intervals over the articles of val, which mean little with a few of them."""


class Claim(Statement):
    """A claim with its verdict."""

    verdict: Verdict
    sentence: str
    """The figures behind the verdict."""


def statements() -> list[Statement]:
    """The claims of claims.yaml, with the numbers of the rules filled in."""
    text = files("lvm_core.comparison").joinpath(FILE).read_text(encoding="utf-8").format_map(vars(claim_rules))
    found: list[Statement] = validate(yaml.safe_load(text), list[Statement], "claims", FILE)
    return found


def measure_claims(comparison: Mapping[str, Any], training: pd.DataFrame, diagnosis: Mapping[str, Any]) -> list[Claim]:
    """Every claim with its verdict.

    Args:
        comparison: metrics/comparison.json: `rows`, `splits`; and, where there are any,
            `time_direction`, `after_phases` (a claim that needs a recipe which was stopped is not measured) and
            `pos_scalars`.
        training: plots/training.csv, one row a recipe and epoch.
        diagnosis: metrics/diagnosis.json.
    """
    phases = comparison.get("after_phases") or {}
    evidence = Evidence(
        rows={str(row["name"]): row for row in comparison["rows"]},
        splits=comparison.get("splits") or {},
        training=training,
        diagnosis=diagnosis,
        time_direction=comparison.get("time_direction") or {},
        stopped={name: one["stopped_after"] for name, one in phases.items() if one["stopped_after"]},
        pos_scalars=comparison.get("pos_scalars") or {},
    )
    return [Claim(**one.model_dump(), **_finding(one, evidence)._asdict()) for one in statements()]


def _finding(statement: Statement, evidence: Evidence) -> Finding:
    missing = [name for name in statement.rows if name not in evidence.rows]
    if missing:
        rows = "row" if len(missing) == 1 else "rows"
        return Finding("not measured", f"The comparison has no {rows} {', '.join(missing)}.")
    stopped = [name for name in statement.rows if name in evidence.stopped]
    if stopped:
        sentences = [f"{name} was stopped after phase {evidence.stopped[name].upper()}." for name in stopped]
        return Finding("not measured", " ".join(sentences))
    try:
        finding = RULES[statement.key](evidence)
    except Undefined as error:
        return Finding("undecided", f"On these data {error} is undefined.")
    articles = evidence.articles()
    few = articles is not None and articles < FEWEST_ARTICLES
    if few and statement.by_interval and finding.verdict in ("confirmed", "refuted"):
        return Finding("undecided", f"{finding.sentence} But {articles} article(s) of val decide nothing.")
    return finding
