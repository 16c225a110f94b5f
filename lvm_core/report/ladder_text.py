"""The ladder in words: metrics/ladder.md, and sentences for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvm_core.config.gates import CERTIFIED
from lvm_core.fivecat.statistics import WORTH_HAVING
from lvm_core.report import render
from lvm_core.selection.gates_text import STATUS_WORDS, mark

Found = Mapping[str, Any]
"""What metrics/ladder.json holds, or a part of it."""

TITLES = {"full_bank_recall_at_5": "full-bank R@5", "recall_at_5": "R@5", "cosine": "cosine"}

BESIDE = {
    "report": (
        "`val` and `ood` stand beside and decide nothing, so that what is reported of the selected model is no figure "
        "it was chosen by."
    ),
    "enforce": (
        "`val` and `ood` stand beside and are not compared in the choice. But `gates.policy` is `enforce`: thresholds "
        "fixed in advance, asked of `val` and `ood` after phase A, decided which recipes were trained on through "
        "phases B and C. So the figures reported of `val` and `ood` are not wholly untouched. A recipe that was "
        "stopped there and passes here on `dev` is trained through phases B and C by the ladder, like a retry that "
        "passes, so that both are treated alike."
    ),
}
"""What `val` and `ood` have to do with the choice, by `gates.policy`."""


def ladder_text(found: Found, about: Mapping[str, str]) -> str:
    """`metrics/ladder.md`.

    Args:
        found: what metrics/ladder.json holds.
        about: the line about each recipe of params.yaml.
    """
    words = (beside_text, why_selected, metric_sentence, alternative_text, parameters_text, attempt_text, standing_text)
    margin_failed = any(
        one["dev"] is not None and one["dev"]["passed"] is False and "margin" in one["asked"]
        for attempt in found["attempts"].values()
        for gate in attempt["gates"].values()
        for one in gate["conditions"]
    )
    return render(
        "ladder.md.j2",
        {"figure": figure_text},
        **{function.__name__: function for function in (*words, final_models, mark)},
        found=found,
        about=about,
        margin_failed=margin_failed,
    )


def beside_text(found: Found) -> str:
    """What `val` and `ood` have to do with the choice, under the policy of the gates."""
    return BESIDE[found["policy"]]


def why_selected(found: Found) -> str:
    """One or two sentences: why it is this model."""
    # an attempt may pass after phase A and then diverge
    lost = any(attempt["passed"] and attempt["diverged"] for attempt in found["attempts"].values())
    return _first_to_pass(found, lost) if found["selected"]["by"] == "gates" else _fallback(found, lost)


def _first_to_pass(found: Found, lost: bool) -> str:
    chosen = found["selected"]
    attempt = found["attempts"][chosen["attempt"]]
    number = attempt["asked_on_dev"]["of"]
    gates = f"all {number} gates" if number > 1 else "the one gate"
    passed = f"It is the first whose phase A passes {gates} of `{attempt['set']}` on dev"
    if lost:
        passed += " and whose training does not diverge"
    if attempt["retry"]:
        return f"{passed}, so phases B and C were trained with the same parameters."
    if chosen["completed_here"]:
        return (
            f"{passed}. The gates on val and ood had stopped it after phase A (gates.policy: enforce), so phases B "
            "and C were trained here, as they are for a retry that passes."
        )
    return f"{passed}."


def _fallback(found: Found, lost: bool) -> str:
    chosen, candidates, tried = found["selected"], found["candidates"], len(found["attempts"])
    why = f"None of {tried} attempts passes its gates" if tried > 1 else "The one attempt does not pass its gates"
    why += " on dev and is trained to its end" if lost else " on dev"
    if not tried:
        why = "There is no attempt to judge"
    # compared as they were after phase A: not a like comparison then
    stopped = ", ".join(f"`{name}`" for name, one in candidates.items() if one["phase"] not in ("c", None))
    if stopped:
        stopped = f" Stopped after phase A by the gates on val and ood, and compared as they were then: {stopped}."
    decides = chosen["criterion"]
    figures = {name: one[decides] for name, one in candidates.items() if one[decides] is not None}
    if chosen["recipe"] not in figures:
        return f"{why}, and no figure on dev is defined: the first recipe.{stopped}"
    trained = sum(one["epoch"] is not None for one in candidates.values())
    counted = f"{trained} recipes and {len(candidates) - trained} reference predictors"
    best = f"the best of {counted} by {TITLES[decides]} on dev, {figures.pop(chosen['recipe']):.4f}"
    if figures:
        second = max(figures, key=lambda name: figures[name])
        best += f" (next: `{second}`, {figures[second]:.4f})"
    return f"{why}, so the fallback takes {best}.{formula_text(chosen)}{stopped}"


def formula_text(chosen: Found) -> str:
    """Where a reference is served, a sentence that says so, and what the best trained row reaches; else nothing."""
    if not chosen["reference"]:
        return ""
    best, key = chosen["best_trained"], chosen["criterion"]
    said = " It is a formula, not a trained model."
    if best is None:
        return f"{said} There is no trained row that could be served."
    reached = ", ".join(f"{figure_text(best[split][key])} on {split}" for split in ("dev", "val", "ood"))
    ours = ", ".join(f"{figure_text(chosen[split][key])} on {split}" for split in ("dev", "val", "ood"))
    return f"{said} The best trained row is `{best['model']}`: {TITLES[key]} {reached} (the formula: {ours})."


def parameters_text(attempt: Found) -> str:
    """The numbers of an attempt that the ladder raises somewhere, such as `model.pos_scalar = 0.15`."""
    return ", ".join(f"{key} = {value:g}" for key, value in attempt["parameters"].items()) or "as defined"


def attempt_text(attempt: Found) -> str:
    """What an attempt came to on `dev`: `passed`, or how many gates it passes of how many."""
    asked = attempt["asked_on_dev"]
    if attempt["diverged"]:
        what = "passed, then failed" if attempt["passed"] else "failed"
        return f"{what}: the training diverged ({attempt['diverged']})"
    if attempt["passed"]:
        return "passed"
    if not asked["of"] and not asked["undefined"]:
        return "nothing of its set can be asked on dev"
    unknown = f", {asked['undefined']} undefined" if asked["undefined"] else ""
    return f"failed: {asked['passed']} of {asked['of']} gates{unknown}"


def final_models(found: Found) -> dict[str, Found]:
    """Figures on `dev` and the epoch kept of all rows that can be served, after those of a model that is none of them.

    A reference has no epoch.
    """
    chosen, candidates = found["selected"], found["candidates"]
    kept = {key: chosen[key] for key in ("epoch", "sees")}
    own = {} if chosen["model"] in candidates else {chosen["model"]: {**chosen["dev"], **kept}}
    return own | candidates


def standing_text(chosen: Found) -> str:
    """Status word, certified gates and figures of the selected model on `val` and `ood`."""
    counted = chosen[CERTIFIED]
    figures = ", ".join(
        f"{title} {figure_text(chosen['val'][key])} on val and {figure_text(chosen['ood'][key])} on ood"
        for key, title in TITLES.items()
    )
    return (
        f"As reported (what is compared in the choice is dev): {figures}; "
        f"{counted['passed']} of {counted['of']} certified gates; "
        f"status `{chosen['status']}`: {STATUS_WORDS[chosen['status']]}"
    )


def metric_sentence(check: Found) -> str:
    """The answer to the summary's Option 1 in one line."""
    return f"computed as it is defined; the alternative: {alternative_text(check)}"


def alternative_text(check: Found) -> str:
    """A clause about recipes that differ in the score alone; R@5 decides, cosine where it is undefined.

    Less than `WORTH_HAVING` is not called better: there is one training each, so how far chance goes is not known.
    """
    gains = [
        pair["gain"]["cosine"] if pair["gain"]["recall_at_5"] is None else pair["gain"]["recall_at_5"]
        for pair in check["after_phase_a"]["pairs"].values()
    ]
    better = [gain >= WORTH_HAVING for gain in gains if gain is not None]
    if not better:
        return "cannot be told here, because no two recipes in `names` differ in the score alone"
    if all(better):
        found = f"better on dev in this run by {WORTH_HAVING} or more"
    elif any(better):
        found = f"better on dev by {WORTH_HAVING} or more for one recipe, not for another"
    else:
        found = f"no gain of {WORTH_HAVING} or more on dev in this run"
    return f"{found} (one training each, no interval)"


def figure_text(value: float | None, form: str = ".4f") -> str:
    """A figure with four digits; `-` where undefined."""
    return "-" if value is None else format(value, form)
