"""A small bank with three trained recipes, as the stages before the ladder leave them, and one call that goes up it."""

from __future__ import annotations

import contextlib

import pandas as pd
import yaml

from lvm_core.bank import load_bank
from lvm_core.config.gates import GatesParams
from lvm_core.config.groups import EvaluateParams, Rule
from lvm_core.config.ladder import LadderParams
from lvm_core.config.params import read_params, validate
from lvm_core.curriculum.phases import score_windows
from lvm_core.fivecat.candidates import dev_figures as dev_figures_of
from lvm_core.fivecat.evaluate import evaluate_splits, write_evaluations
from lvm_core.fivecat.measures import from_model
from lvm_core.fivecat.references import fit_references
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.files import (
    evaluation_directory,
    model_directory,
    write_csv,
    write_json,
    write_npy,
    write_parquet,
    write_text,
)
from lvm_core.runtime.hardware import resolve_device
from lvm_core.runtime.readers import read_json
from lvm_core.selection.dev_gates import Judge
from lvm_core.selection.ladder import run_ladder, threads
from lvm_core.train.phases import PREVIOUS, run_phase
from lvm_core.train.trainer import Trainer
from tests.paths import ROOT
from tests.synthetic import make_bank
from tests.training import small_recipe, write_inputs

BIASED = {"pos_scalar": 0.1, "last_slot_bias": {"kind": "learnable", "beta_max": 0.6}}
TRAIN = {"epochs": {"a": 1, "b": 1, "c": 1}}
RECIPES = {
    "first": small_recipe(name="first", train=TRAIN),
    "second": small_recipe(name="second", model=BIASED, train=TRAIN, threads=2),
    "third": small_recipe(name="third", train=TRAIN | {"lr": 0.02}),
}
RAISE = {"model.pos_scalar": 0.05, "model.last_slot_bias.beta_max": 0.2}
SECOND = {"recipe": "second", "step": "Option 3", "retries": 2, "raise": RAISE}
NEVER = {"impossible": {"all_of": [{"split": "val", "figure": "cosine", "at_least": 1.5}]}}
ALWAYS = {"anything": {"all_of": [{"split": "val", "figure": "cosine", "at_least": -1.0}]}}
EVALUATE = EvaluateParams(contrastive_targets=20, full_bank=False)


def leave_trained(folder):
    """What the stages before the ladder leave, for three recipes, in `folder`."""
    bank = make_bank({"train": [40] * 6, "dev": [30] * 3, "val": [30] * 3, "ood": [25] * 3}, dimension=16)
    with contextlib.chdir(folder):
        for name, recipe in RECIPES.items():
            write_inputs(folder, bank, recipe)
            write_json(f"data/curriculum/{name}/in_force.json", {phase: {} for phase in "abc"})
            for phase in "abc":
                before = model_directory(name, PREVIOUS[phase]) if phase in PREVIOUS else None
                directory = model_directory(name, phase)
                with threads(recipe.threads):
                    state = run_phase(Trainer(recipe, bank), name, phase, bank.targets("train"), before, directory)
                if phase != "b":
                    evaluated(from_model(load_model(directory), name), phase, name)
            write_csv(f"plots/training/{name}.csv", pd.DataFrame(state.history))
        rules = {name: Rule(rule="all").model_dump() for name in RECIPES}
        rules["second"] = Rule(rule="top", score="distinctness").model_dump()
        write_text("data/curricula.yaml", yaml.safe_dump(rules))
        scores = score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)
        write_parquet("data/scores.parquet", scores)
        top = scores.nlargest(60, "distinctness")
        write_npy("data/curriculum/second/a.npy", top["row"].sort_values().to_numpy())
        write_json("data/curriculum/second/in_force.json", {"a": {"distinctness": float(top["distinctness"].min())}})
        for reference in fit_references(bank, EVALUATE, 0):
            evaluated(reference, "references", reference.name)
            write_dev("references", reference.name, recall_at_5=0.0, cosine=-1.0)  # else one may be the best


def evaluated(predictor, kind, name):
    bank = load_bank("data/bank")
    done = evaluate_splits(bank, predictor, EVALUATE, seed=0)
    dev = None if kind == "a" else dev_figures_of(bank, predictor, EVALUATE, 0, resolve_device("cpu"))
    write_evaluations(evaluation_directory(kind) / name, done, dev=dev)


def go_up(*rungs, names=tuple(RECIPES), gates=NEVER, write=lambda found: None, policy="report", **changes):
    settings = validate({"sample": 20, "criterion": "recall_at_5", "rungs": list(rungs)} | changes, LadderParams, "x")
    shipped = read_params(ROOT / "params.yaml")["gates"]
    sets = validate(shipped | {"sets": shipped["sets"] | {"mine": gates}, "policy": policy}, GatesParams, "gates")
    judge = Judge(load_bank("data/bank"), EVALUATE, sets, 0, resolve_device("cpu"))
    return run_ladder(settings, dict.fromkeys(names, "mine"), judge, write)


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def dev_figures(name, figure="recall_at_5", kind="c"):
    return read_json(evaluation_directory(kind) / name / "summary.json")["dev"][figure]


def write_dev(kind, name, **figures):
    """Say other figures on dev of a row."""
    path = evaluation_directory(kind) / name / "summary.json"
    summary = read_json(path)
    write_json(path, summary | {"dev": summary["dev"] | figures})


def exactly(attempt):
    """A gate that this attempt alone passes: its own cosine on dev, from both sides."""
    value = attempt["dev"]["cosine"]
    limits = ({"split": "val", "figure": "cosine", relation: value} for relation in ("at_least", "at_most"))
    return {"only_this": {"all_of": list(limits)}}
