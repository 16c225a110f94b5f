"""How each claim is judged: small functions from the evidence to a verdict and a sentence with the figures."""

from __future__ import annotations

from lvm_core.claims.evidence import Evidence, Finding, Undefined, Verdict, defined, rank_correlation

STEADY = 0.7
"""Rank correlation with the epoch from which a curve is said to rise (or, below its negative, to fall)."""

EPOCHS = 5
"""Fewest epochs of a curve that is judged: the least number at which even a perfect order is rare by chance (2/5!)."""

HELP = 0.01
"""A gain in R@5 that is worth having: one window in a hundred."""

PENALISED = ("v3", "p3", "p4")
STRONGER_SCALARS = {"p5_1": 0.10, "p5_nuclear": 0.20}
ATTENTION_BIASED = ("p5_1", "p6")

PUBLISHED_PAIR = (
    "The published pair (P4 after 3 epochs: margin -0.149, P1: -0.167) compares two recipes on a tape that lies one "
    "chunk late, where a perfect predictor scores about -0.54; R@5 of the same pair rose, from 22.1 % to 24.3 %."
)


def more_mse(evidence: Evidence) -> Finding:
    """R@5 and the closeness to the last chunk over the epochs of p1, on dev."""
    curve = evidence.curve("p1")
    if len(curve) < EPOCHS:
        return Finding("undecided", f"{len(curve)} epochs of p1 with dev figures; it takes {EPOCHS} to see a trend.")
    excess = curve["dev_cosine_last"] - curve["dev_cosine"]
    found = {name: rank_correlation(curve["epoch"], curve[name]) for name in ("dev_recall_at_5", "dev_cosine_last")}
    recall, last, beyond = (
        found["dev_recall_at_5"] or 0.0,
        found["dev_cosine_last"] or 0.0,
        (rank_correlation(curve["epoch"], excess) or 0.0),
    )

    def ends(column: str) -> str:
        return f"from {curve[column].iloc[0]:.3f} to {curve[column].iloc[-1]:.3f}"

    figures = (
        f"Over {len(curve)} epochs of p1 on dev, R@5 went {ends('dev_recall_at_5')} (rank correlation with the epoch "
        f"{recall:+.2f}) and the cosine with the last chunk {ends('dev_cosine_last')} ({last:+.2f}), which is "
        f"{excess.iloc[0]:+.3f} and then {excess.iloc[-1]:+.3f} beyond the cosine with the target ({beyond:+.2f}). "
    )
    if recall >= STEADY and beyond >= STEADY:
        reading = (
            "The prediction does move towards the last chunk, and at the same time it finds the next chunk more often: "
            "it learns to lean on its most informative input. As stated, that more training makes a worse predictor, "
            "the claim is wrong. "
        )
        return Finding("refuted", figures + reading + PUBLISHED_PAIR)
    if recall >= STEADY:
        return Finding("refuted", figures + "R@5 rises with training. " + PUBLISHED_PAIR)
    if beyond <= -STEADY:
        return Finding("refuted", figures + "The prediction moves away from the last chunk. " + PUBLISHED_PAIR)
    verdict: Verdict = "confirmed" if beyond >= STEADY and recall <= -STEADY else "undecided"
    return Finding(verdict, figures + PUBLISHED_PAIR)


def curriculum_alone(evidence: Evidence) -> Finding:
    """Masked R@5 of p5 minus that of p1, paired."""
    difference, low, high = _difference(evidence, "p5")
    sentence = (
        f"R@5 of p5 minus that of p1 on val: {_interval(difference, low, high)}. p5 has the positional scalar too, so "
        "this is the pair of them; the summary judged stage A alone, here all three stages are trained."
    )
    if low > 0:
        return Finding("refuted", sentence)
    return Finding("confirmed" if high <= HELP else "undecided", sentence)


def data_inform(evidence: Evidence) -> Finding:
    """Whether even the plainest use of the context finds the next chunk more often than chance."""
    recall, low, high = (evidence.value("copy_last", f"val_recall_at_5{end}") for end in ("", "_lo", "_hi"))
    retrieval = evidence.rows["copy_last"].get("val", {}).get("retrieval", {})
    chance = defined(retrieval.get("chance", {}).get("recall_at_5"), "the chance level of R@5 on val")
    sentence = (
        f"Repeating the last chunk finds the next one among 5 in {_interval(recall, low, high, signed=False)} of the "
        f"windows of val; chance is {chance:.3f}."
    )
    if low > chance:
        return Finding("confirmed", sentence + " The context tells something about the next chunk.")
    return Finding("refuted" if high <= chance else "undecided", sentence)


def signal_has_direction(evidence: Evidence) -> Finding:
    """Whether the temporal signal tells articles from the same articles read backwards."""
    split = next((name for name in ("train", "val") if name in evidence.diagnosis), None)
    if split is None:
        raise Undefined("the temporal signal of train and val")
    signal, backwards = (
        defined(evidence.diagnosis[split].get(name), f"{name} of {split}")
        for name in ("temporal_signal", "temporal_signal_reversed")
    )
    sentence = (
        f"Ours on {split} is {signal:+.4f} (claimed: +0.1171), and {backwards:+.4f} on the same articles read "
        "backwards: it measures how fast similarity falls with distance, not the direction of time. "
        + _direction_sentence(evidence)
    )
    if abs(backwards) >= 0.9 * abs(signal):
        return Finding("refuted", sentence)
    return Finding("confirmed" if abs(backwards) <= 0.5 * abs(signal) else "undecided", sentence)


def _direction_sentence(evidence: Evidence) -> str:
    shown = []
    for recipe, figures in evidence.time_direction.items():
        found = figures.get("val_recall_at_5") or {}
        if None in [found.get(name) for name in ("forward", "reversed", "difference", "lo", "hi")]:
            continue
        numbers = _interval(found["difference"], found["lo"], found["hi"])
        says = "forward is easier" if found["lo"] > 0 else "backward is easier" if found["hi"] < 0 else "no difference"
        shown.append(f"{recipe} {found['forward']:.3f} forward, {found['reversed']:.3f} reversed, {numbers}: {says}")
    if not shown:
        return "What could show a direction, the same recipe on reversed articles, has not been measured."
    return f"What can show a direction is the same recipe on reversed articles (R@5 on val): {'; '.join(shown)}."


def penalties_unstable(evidence: Evidence) -> Finding:
    """Which of the recipes with a loss penalty collapse."""
    floor = evidence.value("context_mean", "val_cosine")
    collapsed, parts = [], []
    for name in PENALISED:
        cosine, (difference, low, high) = evidence.value(name, "val_cosine"), _difference(evidence, name)
        if cosine < floor or high < 0:
            collapsed.append(name)
        parts.append(f"{name} has cosine {cosine:.3f} and R@5 {_interval(difference, low, high)} against p1")
    sentence = f"{'; '.join(parts)}; context_mean has cosine {floor:.3f}. "
    sentence += f"Collapsed: {', '.join(collapsed) or 'none'}."
    if len(collapsed) == len(PENALISED):
        return Finding("confirmed", sentence)
    return Finding("undecided" if collapsed else "refuted", sentence)


def stronger_scalar(evidence: Evidence) -> Finding:
    """Whether a positional scalar above 0.03 gains R@5."""
    weak, weak_low, weak_high = _difference(evidence, "p5")
    stronger = {name: _difference(evidence, name) for name in STRONGER_SCALARS}
    parts = [f"p5 (0.03) {_interval(weak, weak_low, weak_high)}"]
    parts += [f"{name} ({STRONGER_SCALARS[name]:.2f}) {_interval(*found)}" for name, found in stronger.items()]
    sentence = f"R@5 against p1 on val: {', '.join(parts)}. p5_1 changes more than the scalar; p5_nuclear does not."
    if any(low > weak_high for _, low, _ in stronger.values()):
        return Finding("confirmed", sentence)
    no_gain = all(value - weak <= HELP for value, _, _ in stronger.values())
    return Finding("refuted" if no_gain else "undecided", sentence)


def attention_bias(evidence: Evidence) -> Finding:
    """Whether the recipes that bias attention against the last chunk gain R@5 over p1."""
    found = {name: _difference(evidence, name) for name in ATTENTION_BIASED}
    parts = [f"{name} {_interval(*three)}" for name, three in found.items()]
    sentence = f"R@5 against p1 on val: {', '.join(parts)}. p5_1 changes more than the attention."
    if any(low > 0 for _, low, _ in found.values()):
        return Finding("confirmed", sentence)
    return Finding("refuted" if all(high <= HELP for _, _, high in found.values()) else "undecided", sentence)


def _difference(evidence: Evidence, name: str) -> tuple[float, float, float]:
    value, low, high = (evidence.value(name, f"val_r5_vs_p1{end}") for end in ("", "_lo", "_hi"))
    return value, low, high


def _interval(value: float, low: float, high: float, *, signed: bool = True) -> str:
    form = "+.3f" if signed else ".3f"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"
