"""The ladder in words: metrics/ladder.md, and sentences for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lvm_core.config.gates import CERTIFIED
from lvm_core.report.check_text import Found, figure_text, metric_lines, metric_sentence
from lvm_core.selection.gates_text import STATUS_WORDS, mark

TITLES = {"recall_at_5": "R@5", "cosine": "cosine"}

FALLBACK = "Option 5, generalised"

FRAMES = {"corrected": "the next chunk where it belongs", "published": "one chunk late, as the earlier work measured"}

INTRODUCTION = """\
The earlier work's summary of 2 November 2025 ends with steps to take in their order ("Top 5 Next Steps", "If Stage A
Fails"). This page is what came of them here. Each attempt is judged after phase A against its set of gates (`gates` in
params.yaml). The first that passes is selected; if none does, the recipe with the best figure is. **`dev` decides**:
what a gate asks of `val` is asked of `dev`, articles that no report is about."""

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

MARGIN = """\
About the margin: it is the cosine with the next chunk minus the best of the other offsets from -3 to +3. It is below 0
for nearly everything that is built from the context, and about 0 for a predictor that says the same of every window,
so a threshold above 0 does not tell good models from bad ones. The earlier work took it one chunk late, where the
threshold fails a perfect predictor too. More: [How to read the numbers](../docs/how-to-read-the-numbers.md); what can
be reached at all on these data: [comparison.md](comparison.md)."""


def ladder_text(found: Found, about: Mapping[str, str]) -> str:
    """`metrics/ladder.md`.

    Args:
        found: what metrics/ladder.json holds.
        about: the line about each recipe of params.yaml.
    """
    lines = ["# The ladder: which model is selected, and why", "", INTRODUCTION, "", beside_text(found), ""]
    lines += [f"**Selected: `{found['selected']['model']}`.** {why_selected(found)}", "", *_overview(found), ""]
    lines += ["## Option 1: is forward-distinctness the right metric?", "", *metric_lines(found["check"]), ""]
    lines += ["## The attempts", ""]
    if not found["attempts"]:
        lines += ["None.", ""]
    for name, attempt in found["attempts"].items():
        lines += [*_attempt(name, attempt, about.get(attempt["recipe"], "")), ""]
    if any(failed_margin(attempt) for attempt in found["attempts"].values()):
        lines += [MARGIN, ""]
    lines += ["## The selected model", "", *_selected(found, about)]
    return "\n".join(lines) + "\n"


def beside_text(found: Found) -> str:
    """What `val` and `ood` have to do with the choice, under the policy of the gates."""
    return BESIDE[found["policy"]]


def why_selected(found: Found) -> str:
    """One or two sentences: why it is this model."""
    chosen = found["selected"]
    if chosen["by"] == "gates":
        attempt = found["attempts"][chosen["attempt"]]
        passed = f"It is the first whose phase A passes {_all_gates(attempt)} on dev"
        if _lost(found):
            passed += " and whose training does not diverge"
        if attempt["retry"]:
            return f"{passed}, so phases B and C were trained with the same parameters."
        if chosen["completed_here"]:
            return (
                f"{passed}. The gates on val and ood had stopped it after phase A (gates.policy: enforce), so phases B "
                "and C were trained here, as they are for a retry that passes."
            )
        return f"{passed}."
    tried = len(found["attempts"])
    none = f"None of {tried} attempts passes its gates" if tried > 1 else "The one attempt does not pass its gates"
    none += " on dev and is trained to its end" if _lost(found) else " on dev"
    why = none if tried else "There is no attempt to judge"
    decides = chosen["criterion"]
    figures = {name: one[decides] for name, one in found["candidates"].items() if one[decides] is not None}
    others = {name: value for name, value in figures.items() if name != chosen["recipe"]}
    best = f"the best of {len(found['candidates'])} recipes by {TITLES[decides]} on dev"
    if chosen["recipe"] not in figures:
        return f"{why}, and no figure on dev is defined: the first recipe.{_stopped(found)}"
    best += f", {figures[chosen['recipe']]:.4f}"
    if others:
        second = max(others, key=lambda name: others[name])
        best += f" (next: `{second}`, {others[second]:.4f})"
    return f"{why}, so the fallback takes {best}.{_stopped(found)}"


def _all_gates(attempt: Found) -> str:
    number = attempt["asked_on_dev"]["of"]
    return f"all {number} gates of `{attempt['set']}`" if number > 1 else f"the one gate of `{attempt['set']}`"


def _lost(found: Found) -> bool:
    """Whether an attempt passed after phase A and then diverged."""
    return any(attempt["passed"] and attempt["diverged"] for attempt in found["attempts"].values())


def _stopped(found: Found) -> str:
    """Which recipes the fallback compares as they were after phase A: it is not a like comparison then."""
    names = [f"`{name}`" for name, one in found["candidates"].items() if one["phase"] != "c"]
    if not names:
        return ""
    return f" Stopped after phase A by the gates on val and ood, and compared as they were then: {', '.join(names)}."


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


def failed_margin(attempt: Found) -> bool:
    """Whether an attempt fails a threshold to the margin."""
    return any(
        one["dev"] is not None and one["dev"]["passed"] is False and "margin" in one["asked"]
        for gate in attempt["gates"].values()
        for one in gate["conditions"]
    )


def _overview(found: Found) -> list[str]:
    lines = ["| step of the summary | tried | parameters | R@5 on dev | outcome on dev |", "|---|---|---|---:|---|"]
    lines.append(f"| Option 1 | the curriculum's score | | | {metric_sentence(found['check'])} |")
    for name, attempt in found["attempts"].items():
        cells = (
            attempt["step"] or "-",
            f"`{name}`",
            parameters_text(attempt),
            figure_text(attempt["dev"]["recall_at_5"]),
        )
        lines.append(f"| {' | '.join(cells)} | {attempt_text(attempt)} |")
    for key, why in (("not_tried", "not tried: an attempt before it passed"), ("skipped", "skipped: not in `names`")):
        lines += [f"| {step or '-'} | `{name}` | | | {why} |" for name, step in found[key].items()]
    chosen = found["selected"]
    if chosen["by"] == "fallback":
        dev = figure_text(chosen["dev"]["recall_at_5"])
        lines.append(f"| {FALLBACK} | `{chosen['model']}` | | {dev} | selected (final model) |")
    return lines


def _attempt(name: str, attempt: Found, about: str) -> list[str]:
    step = f"{attempt['step']}: " if attempt["step"] else ""
    retry = f", retry {attempt['retry']}" if attempt["retry"] else ""
    lines = [f"### {step}`{attempt['recipe']}`{retry}", ""]
    if about:
        lines.append(f"- What: {about}")
    lines += [f"- Parameters: {parameters_text(attempt)}", f"- On `dev`, which decides: **{attempt_text(attempt)}**"]
    for frame, counted in attempt["on_val_and_ood"].items():
        said = "passed" if counted["whole"] else "not passed"
        line = f"- On `val` and `ood` ({FRAMES[frame]}): {counted['passed']} of {counted['of']} gates, {said}"
        lines.append(f"{line} (reported only)")
    if attempt["not_asked_on_dev"]:
        gates = ", ".join(f"`{gate}`" for gate in attempt["not_asked_on_dev"])
        lines.append(f"- Not asked on `dev`, because they are about `ood`: {gates}")
    lines += [_counted(*item) for item in attempt["counted_on_dev"].items()]
    if not attempt["gates"]:
        return [*lines, "", "There is no model of it to judge."]
    lines += ["", f"Gates of `{attempt['set']}`:", ""]
    lines += ["| gate | asked | on dev | as reported (val, ood) |", "|---|---|---|---|"]
    for key, gate in attempt["gates"].items():
        for one in gate["conditions"]:
            cells = (f"`{key}`", one["asked"], _answer(one["dev"]), _answer(one["reported"]))
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *_figures(attempt)]


def _counted(name: str, left: Found) -> str:
    return (
        f"- Counted from `{name}`: {left['asked']} of its {left['of']} gates are asked on `dev`, {left['in_part']} of "
        "these only in part (what they ask of `ood` is dropped); the number wanted is the same"
    )


def _figures(attempt: Found) -> list[str]:
    figures = list(attempt["dev"])
    lines = ["| figures after phase A | " + " | ".join(figures) + " |", "|---|" + "---:|" * len(figures)]
    for split in ("dev", "val", "ood"):
        lines.append(f"| {split} | " + " | ".join(figure_text(attempt[split][figure]) for figure in figures) + " |")
    return lines


def _answer(answer: Found | None) -> str:
    if answer is None:
        return "not asked"
    value = "undefined" if answer["value"] is None else f"{answer['value']:.4g}"
    return f"{value}: {mark(answer['passed'])}"


def _selected(found: Found, about: Mapping[str, str]) -> list[str]:
    chosen = found["selected"]
    recipe = chosen["recipe"]
    lines = [
        f"`data/models/selected` is a copy of the final model of `{chosen['model']}`: epoch {chosen['epoch']}, the "
        f"best one on `dev` of phase {chosen['phase'].upper()}.",
        "",
    ]
    if recipe in about:
        lines += [f"- What: {about[recipe]}"]
    lines += [f"- Why: {why_selected(found)}", f"- {standing_text(chosen)}", ""]
    lines += ["| recipe, final model | R@5 on dev | cosine on dev | epoch kept |", "|---|---:|---:|---:|"]
    rows: Sequence[tuple[str, Found]] = list(found["candidates"].items())
    if chosen["model"] not in found["candidates"]:
        rows = [(chosen["model"], {**chosen["dev"], "epoch": chosen["epoch"]}), *rows]
    for name, one in rows:
        shown = f"**`{name}`** (selected)" if name == chosen["model"] else f"`{name}`"
        lines.append(f"| {shown} | {figure_text(one['recall_at_5'])} | {figure_text(one['cosine'])} | {one['epoch']} |")
    lines += ["", "These are the figures on `dev` that training takes after each epoch (R@5: windows with six or more"]
    lines += [
        "candidates; those of the attempts leave out more, as on `val`). All rows on `val` and `ood`, with intervals:"
    ]
    return [*lines, "[comparison.md](comparison.md)."]


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
