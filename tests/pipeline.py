"""The whole pipeline in this process, on a few texts or vectors: the stages of dvc.yaml as DVC reads it, in order."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from dvc.repo import Repo

from lvm_core.corpus.sotu import read_sotu
from lvm_core.windows import CONTEXT
from tests.calling import run_line
from tests.forms import example, sample
from tests.paths import ROOT
from tests.shell import own_warnings

HOME, ELSEWHERE = "corpora/small", "corpora/other"
"""Folders of texts: for train, dev and val, and for ood."""

RECIPES = ("p1", "p5", "contrast")
SEED = 43
"""The further seed with which p1 is trained."""

TINY: dict[str, Any] = {
    **{"names": list(RECIPES), "threads": 1, "time_direction": ["p1"], "service": {"models": ["p1"]}},
    **{"data": {"train": HOME, "ood": ELSEWHERE}, "corpus": {"max_chars": 300}, "curriculum": {"min_windows": 1}},
    "model": {"d_model": 64, "ffn": 128},
    "train": {"epochs": {"a": 1, "b": 1, "c": 1}, "seeds": [SEED], "repeat": ["p1"]},
    "evaluate": {"contrastive_targets": 50},
}
"""Parameters under which every stage of dvc.yaml runs and costs little."""


def from_texts(folder: Path) -> None:
    """Run everything on texts: 237 chunks."""
    copy_project(folder, TINY)
    write_texts(folder / HOME, 0, articles=8, paragraphs=10)
    write_texts(folder / ELSEWHERE, 15, articles=3, paragraphs=10)
    walk(folder)


def from_vectors(folder: Path) -> None:
    """Run everything, with one recipe, no variants and no other source, on windows of vectors in the published form."""
    copy_project(folder, TINY | {"names": ["p1"], "time_direction": [], "service": {"models": []}})
    train = "corpora/sequences_train.npz"
    data = {"kind": "vectors", "train": train, "ood": None}
    change_params(folder, {"data": data, "train": {"seeds": [], "repeat": []}})
    (folder / "corpora").mkdir()
    vectors = sample([40] * 8)
    example.write_sequences(folder / train, vectors, np.arange(CONTEXT, len(vectors.vectors)))
    walk(folder)


def copy_project(folder: Path, changes: Mapping[str, Any]) -> None:
    """The repository's pipeline and code in a folder, without Git, its parameters changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("stages", "lvm_core", "encoders/all-MiniLM-L6-v2"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copyfile(ROOT / name, folder / name)
    Repo.init(folder, no_scm=True).close()
    change_params(folder, changes)


def change_params(folder: Path, changes: Mapping[str, Any]) -> None:
    """Replace top-level values of params.yaml; a mapping overrides the keys that it has."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def write_texts(folder: Path, first: int, articles: int, paragraphs: int) -> None:
    """The beginnings of a few of the addresses that the default corpus is made of."""
    folder.mkdir(parents=True, exist_ok=True)
    for document in read_sotu().documents()[first::30][:articles]:
        found = document.parse(document).paragraphs[:paragraphs]
        (folder / f"{document.title.replace(' ', '_')}.txt").write_text("\n\n".join(found), encoding="utf-8")


def walk(folder: Path) -> list[str]:
    """Run every stage of the project in a folder, as `dvc repro` would from nothing; the stages' names in their order.

    Raises:
        AssertionError: a stage fails, or has not made what dvc.yaml says it makes.
    """
    with Repo(folder) as repo:
        graph = repo.index.graph
        stages = list(TopologicalSorter({stage: set(graph.successors(stage)) for stage in graph}).static_order())
    for stage in stages:
        needed = [Path(dep.fs_path) for dep in stage.deps]
        assert all(path.exists() for path in needed), f"{stage.name}: {needed}"
        done = run_line(stage.cmd, folder)
        assert done.returncode == 0, f"{stage.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert not own_warnings(done.stderr), done.stderr
        made = [Path(out.fs_path) for out in stage.outs]
        assert all(path.exists() for path in made), f"{stage.name}: {made}"
    return [stage.name for stage in stages]


def undefined_is_said(folder: Path) -> None:
    """The texts of a run in which some figures are undefined show them as such."""
    text = (folder / "metrics/comparison.md").read_text()
    assert "`-`: undefined on these data; [diagnosis.md](diagnosis.md) says why." in text
    assert "nan" not in text + (folder / "metrics/curriculum_check.md").read_text()
