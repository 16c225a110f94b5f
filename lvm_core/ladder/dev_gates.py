"""What a set of gates asks on `dev`; pure functions.

`dev` decides on the ladder, and `val` and `ood` are not compared (a model chosen by the figures that are reported of it
would look better than it is). So what a gate asks of `val` is asked of `dev`; what it asks of `ood`, or of the distance
of two splits, cannot be asked there.
"""

from __future__ import annotations

from collections.abc import Mapping

from lvm_core.gates.judge import holds
from lvm_core.gates.params import Condition, Gate, GatesParams, counted_sets

Gates = Mapping[str, Gate]


def dev_form(params: GatesParams, name: str) -> GatesParams:
    """A set, and those whose gates it counts, as they are asked on `dev`.

    Conditions on `ood` and on the distance of two splits are left out, and so are gates without any other condition,
    and conditions on the number of another set's gates that no number of its remaining gates could meet.

    Args:
        params: all sets.
        name: of the set wanted.

    Returns:
        Sets whose conditions on `val` are to be read on `dev`: judge them on figures of `dev` under the keys of `val`.
        The set itself may have no gate left.
    """
    wanted = [name, *counted_sets(dict(params.sets[name]))]
    return params.model_copy(update={"sets": {one: _left(params.sets[one], params.sets) for one in wanted}})


def asked_on_dev(condition: Condition, sets: Mapping[str, Gates]) -> bool:
    """Whether a condition can be asked on `dev`.

    Args:
        condition: of some set.
        sets: all sets, for a condition that counts the gates of another one.
    """
    if condition.set is None:
        return condition.split == "val" and condition.distance_to is None
    left = sum(not gate.report_only for gate in _left(sets[condition.set], sets).values())
    return left > 0 and any(holds(number, condition.relation, condition.limit) for number in range(left + 1))


def _left(gates: Gates, sets: Mapping[str, Gates]) -> dict[str, Gate]:
    kept = {name: [one for one in gate.all_of if asked_on_dev(one, sets)] for name, gate in gates.items()}
    return {name: gate.model_copy(update={"all_of": kept[name]}) for name, gate in gates.items() if kept[name]}


def not_asked(params: GatesParams, name: str) -> list[str]:
    """Names of the gates of a set that are not asked on `dev` at all; those of a set it counts as `<set>.<gate>`."""
    asked = dev_form(params, name).sets
    return [
        gate if one == name else f"{one}.{gate}"
        for one, gates in asked.items()
        for gate in params.sets[one]
        if gate not in gates
    ]


def counted_on_dev(params: GatesParams, name: str) -> dict[str, dict[str, int]]:
    """How much of the sets that a set counts is left on `dev`: `of` how many gates `asked`, and of these `in_part`.

    A gate asked in part has lost a condition (one on `ood`), so it is easier there; the number wanted stays.
    """
    found = {}
    for other in counted_sets(dict(params.sets[name])):
        gates = {key: gate for key, gate in params.sets[other].items() if not gate.report_only}
        left = _left(gates, params.sets)
        in_part = sum(len(gate.all_of) < len(gates[key].all_of) for key, gate in left.items())
        found[other] = {"of": len(gates), "asked": len(left), "in_part": in_part}
    return found


def rivals_in(params: GatesParams, names: list[str] | None = None) -> list[str]:
    """Reference predictors that some condition of the sets (all, or the named ones and those they count) needs."""
    wanted = list(params.sets) if names is None else names
    wanted = [*wanted, *(other for name in wanted for other in counted_sets(params.sets[name]))]
    conditions = [one for name in wanted for gate in params.sets[name].values() for one in gate.all_of]
    return list(dict.fromkeys(rival for one in conditions if one.minus is not None for rival in one.minus.best_of))
