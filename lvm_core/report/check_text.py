"""The answer to the summary's Option 1 in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvm_core.fivecat.statistics import WORTH_HAVING

Found = Mapping[str, Any]


def metric_sentence(check: Found) -> str:
    """The answer in one line."""
    return f"computed as it is defined; the alternative: {_does_better(check)}"


def metric_lines(check: Found) -> list[str]:
    """The answer with the figures that decide it, as a Markdown list."""
    return [*_computed(check), _alternative(check["alternative"]), *_trained(check), "", _more()]


def _computed(check: Found) -> list[str]:
    recipe, sample = check["recipe"], check["sample"]
    where = f"phase A of `{recipe}`" if recipe else "the training split (no recipe in `names` selects any)"
    means, every = check["cosines"]["sample"], check["cosines"]["all"]
    lines = [
        f"- **Is it computed as it is defined? Yes.** On {sample} windows of {where}, drawn at random, "
        "1 - cos(target, last context chunk) and the alternative, computed anew from the vectors, are the stored "
        f"scores (largest difference {check['largest_difference']:.1e})."
    ]
    if check["above_cut"] is not None:
        bounds = ", ".join(f"{column} >= {bound:.4f}" for column, bound in check["cut"].items())
        lines.append(
            f"- **Does phase A have the windows it should?** {check['above_cut']:.0%} of them keep to {bounds}."
        )
    lines.append(
        "- **What does it select?** Mean cosine of the target with the last context chunk: "
        f"{figure_text(means['sim_prev'])} (all training windows: {figure_text(every['sim_prev'])}), with the "
        f"second-last: {figure_text(means['sim_prev2'])} ({figure_text(every['sim_prev2'])})."
    )
    return lines


def _alternative(found: Found) -> str:
    return (
        "- **Is the alternative another choice?** cos(target, next) - cos(target, last) and 1 - cos(target, last) have "
        f"a rank correlation of {figure_text(found['rank_correlation'])}; of the {_percent(found['share'])} of the "
        f"windows that stand highest by the one, {_percent(found['overlap'])} stand highest by the other."
    )


def _trained(check: Found) -> list[str]:
    lines = [
        f"- **Does the alternative do better?** {_does_better(check).capitalize()}. Figures on `dev` after phase A:"
    ]
    for score, rows in check["after_phase_a"]["by_score"].items():
        shown = [
            f"`{name}` R@5 {figure_text(one['recall_at_5'])}, cosine {figure_text(one['cosine'])}"
            for name, one in rows.items()
        ]
        lines.append(f"  - curriculum by {score}: {'; '.join(shown) or 'no recipe in `names`'}")
    for pair in check["after_phase_a"]["pairs"].values():
        gains = ", ".join(
            f"{title} {figure_text(pair['gain'][key], '+.4f')}"
            for key, title in (("recall_at_5", "R@5"), ("cosine", "cosine"))
        )
        names = f"`{pair['forward_gain']}` against `{pair['distinctness']}`"
        lines.append(f"  - {names}, alike but for the score: {gains}")
    return lines


def _does_better(check: Found) -> str:
    """A clause about recipes that differ in the score alone; R@5 decides, cosine where it is undefined.

    Less than `WORTH_HAVING` is not called better: there is one training each, so how far chance goes is not known.
    """
    gains = [
        pair["gain"]["cosine"] if pair["gain"]["recall_at_5"] is None else pair["gain"]["recall_at_5"]
        for pair in check["after_phase_a"]["pairs"].values()
    ]
    known = [gain for gain in gains if gain is not None]
    if not known:
        return "cannot be told here, because no two recipes in `names` differ in the score alone"
    better = [gain >= WORTH_HAVING for gain in known]
    if all(better):
        found = f"better on dev in this run by {WORTH_HAVING} or more"
    elif any(better):
        found = f"better on dev by {WORTH_HAVING} or more for one recipe, not for another"
    else:
        found = f"no gain of {WORTH_HAVING} or more on dev in this run"
    return f"{found} (one training each, no interval)"


def _more() -> str:
    return (
        "What each score selects, and why none of them can tell forward from backward: "
        "[curriculum_check.md](curriculum_check.md)."
    )


def figure_text(value: float | None, form: str = ".4f") -> str:
    """A figure with four digits; `-` where undefined."""
    return "-" if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
