"""The claims themselves, as data, and their verdicts as a list and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lvm_core.comparison import claim_rules as rules
from lvm_core.comparison.evidence import Claim, Evidence, Finding, Statement, Undefined
from lvm_core.fivecat.statistics import FEWEST_ARTICLES, WORTH_HAVING

STATEMENTS = (
    Statement(
        key="mse-closer",
        text="More MSE training brings the prediction closer to the last chunk.",
        source="Key findings 1: MSE converges to copy-last",
        rule="Rank correlation with the epoch, on dev, of p1's cosine with the last chunk minus its cosine with the "
        f"target. Confirmed: at least +{rules.STEADY}. Refuted: at most -{rules.STEADY}. Else, or with fewer than "
        f"{rules.EPOCHS} epochs: undecided. {rules.ONE_RUN}",
        rows=("p1",),
        measure=rules.mse_closer,
        by_interval=False,
    ),
    Statement(
        key="mse-worse",
        text="More MSE training makes a worse predictor: it converges to copying.",
        source="Key findings 1: MSE converges to copy-last",
        rule=f"Rank correlation with the epoch, on dev, of p1's R@5. Confirmed: it falls (at most -{rules.STEADY}). "
        f"Refuted: it rises (at least +{rules.STEADY}). Else, or with fewer than {rules.EPOCHS} epochs: undecided. "
        f"{rules.ONE_RUN}",
        rows=("p1",),
        measure=rules.mse_worse,
        by_interval=False,
    ),
    Statement(
        key="curriculum",
        text="A curriculum alone does not help.",
        source="Key findings 2: curriculum alone insufficient",
        rule=f"Paired 95 % interval of R@5 (p5 minus p1, val). Confirmed: its upper end is at most +{WORTH_HAVING}, so "
        "a gain worth having is ruled out. Refuted: its lower end is above 0. Else undecided.",
        rows=("p1", "p5"),
        measure=rules.curriculum_alone,
    ),
    Statement(
        key="data",
        text="The data are good: they carry what is needed to predict the next chunk.",
        source="Key findings 4: data quality confirmed good",
        rule="95 % interval of copy_last's R@5 on val. Confirmed: its lower end is above chance, so the context "
        "informs about the next chunk. Refuted: its upper end is at most chance. Else undecided.",
        rows=("copy_last",),
        measure=rules.data_inform,
    ),
    Statement(
        key="signal",
        text="The temporal signal of +0.1171 is excellent: the sequences run forward.",
        source="Key findings 4: temporal signal, sequence order",
        rule="The same figure on the same articles read backwards. Refuted (as evidence of a direction): it keeps at "
        "least nine tenths of its size. Confirmed: it loses at least half. Else undecided. Beside it, without a part "
        "in the verdict: recipes on reversed articles, which show a direction only where their own difference and what "
        "it has beyond copy_last's exclude 0 in the same sense, and it goes beyond context_mean's, on "
        f"{FEWEST_ARTICLES} articles or more.",
        rows=(),
        measure=rules.signal_has_direction,
        by_interval=False,
    ),
    Statement(
        key="penalties",
        text="Penalties in the loss are unstable.",
        source="Key findings 3: loss penalties unstable",
        rule="A recipe collapses when its cosine on val is below context_mean's, or when the paired 95 % interval of "
        f"its R@5 minus p1's lies wholly below {rules.COLLAPSE}: a small loss is no collapse. Confirmed: "
        f"{', '.join(rules.PENALISED)} all collapse. Refuted: none does, and no such interval reaches below "
        f"{rules.COLLAPSE}. Else undecided. P4 is here with the smoothness penalty that was run "
        "(p4_published), not with the rollout that was meant (p4).",
        rows=("p1", "context_mean", *rules.PENALISED),
        measure=rules.penalties_unstable,
    ),
    Statement(
        key="scalar",
        text="The positional scalar 0.03 is too weak; 0.10 to 0.20 is what it takes.",
        source="Lessons learned: positional encoding key",
        rule="95 % intervals of R@5 minus p1's on val, of scalar 0.03, 0.10 and 0.20. Confirmed: the lower end of a "
        "stronger scalar lies above the upper end of 0.03. Refuted: for every stronger scalar, its upper end minus "
        f"the lower end of 0.03 is at most +{WORTH_HAVING}. Else undecided. The intervals are not paired with one "
        "another, so both verdicts are cautious. Not measured where a run gives one of the recipes another scalar.",
        rows=("p1", *rules.SCALARS),
        measure=rules.stronger_scalar,
    ),
    Statement(
        key="attention",
        text="An attention bias against the last chunk is promising: reshape the geometry, not the loss.",
        source="Lessons learned: attention bias promising",
        rule=f"Paired 95 % intervals of R@5 minus p1's on val of {' and '.join(rules.ATTENTION_BIASED)}. Confirmed: "
        f"one lies above 0 and its R@5 gains at least +{WORTH_HAVING}. Refuted: the upper ends of both are at most "
        f"+{WORTH_HAVING}. Else undecided.",
        rows=("p1", *rules.ATTENTION_BIASED),
        measure=rules.attention_bias,
    ),
)
"""What the summary of 2 November 2025 says, in its order of weight."""


def measure_claims(comparison: Mapping[str, Any], training: pd.DataFrame, diagnosis: Mapping[str, Any]) -> list[Claim]:
    """Every claim with its verdict.

    Args:
        comparison: metrics/comparison.json: `rows`, each with its summaries `val` and `ood`; and, where there are any,
            `time_direction`, `after_phases` (a claim that needs a recipe which was stopped is not measured) and
            `pos_scalars`.
        training: plots/training.csv, one row a recipe and epoch.
        diagnosis: metrics/diagnosis.json.
    """
    phases = comparison.get("after_phases") or {}
    evidence = Evidence(
        rows={str(row["name"]): row for row in comparison["rows"]},
        training=training,
        diagnosis=diagnosis,
        time_direction=comparison.get("time_direction") or {},
        stopped={name: one["stopped_after"] for name, one in phases.items() if one["stopped_after"]},
        pos_scalars=comparison.get("pos_scalars") or {},
    )
    return [_measured(statement, evidence) for statement in STATEMENTS]


def _measured(statement: Statement, evidence: Evidence) -> Claim:
    missing = [name for name in statement.rows if name not in evidence.rows]
    stopped = [name for name in statement.rows if name in evidence.stopped]
    if missing:
        rows = "row" if len(missing) == 1 else "rows"
        finding = Finding("not measured", f"The comparison has no {rows} {', '.join(missing)}.")
    elif stopped:
        sentences = [f"{name} was stopped after phase {evidence.stopped[name].upper()}." for name in stopped]
        finding = Finding("not measured", " ".join(sentences))
    else:
        try:
            finding = statement.measure(evidence)
        except Undefined as error:
            finding = Finding("undecided", f"On these data {error} is undefined.")
        articles = evidence.articles()
        few = articles is not None and articles < FEWEST_ARTICLES
        if statement.by_interval and few and finding.verdict in ("confirmed", "refuted"):
            finding = Finding("undecided", f"{finding.sentence} But {articles} article(s) of val decide nothing.")
    return Claim(statement.key, statement.text, statement.source, statement.rule, *finding)


def claims_text(claims: Sequence[Claim]) -> list[str]:
    """Lines of a Markdown section: a table of verdicts, then the rules."""
    lines = [
        "## The summary's claims, measured",
        "",
        "What the earlier work's summary of 2 November 2025 says, checked by the figures of this run.",
        "",
        "| claim | verdict | figures |",
        "|---|---|---|",
        *(f"| {_cell(claim.text)} | **{claim.verdict}** | {_cell(claim.sentence)} |" for claim in claims),
        "",
        "How each verdict is reached:",
        "",
        *(f"- {claim.text} ({claim.source}) {claim.rule}" for claim in claims),
        "",
    ]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
