"""Vector files in every published form, and the stages that import them, run in a folder of their own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.calling import Done, one_clear_line, run_stage
from tests.paths import ROOT
from tests.synthetic import unit


def load_example(name: str) -> Any:
    """A script of data/example as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"data/example/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


example = load_example("write_forms")

FORMS = (
    *("sequences_{}.npz", "windows_{}.npz", "plain_{}.npz", "bank_{}.npz", "array_{}.npy", "table_{}.parquet"),
    "documents_{}.parquet",
)
"""Names of the files of each form; {} is train or ood."""


def sample(lengths: Sequence[int], first_article: int = 0, dimension: int = 16, seed: int = 0) -> Any:
    """Articles of random unit rows."""
    rng = np.random.default_rng(seed)
    vectors = unit(rng.standard_normal((sum(lengths), dimension))).astype(np.float32)
    article = np.repeat(np.arange(first_article, first_article + len(lengths)), lengths)
    texts = [f'text "{row}", of the chunk' for row in range(len(vectors))]
    return example.Sample(vectors, texts, article, np.concatenate([np.arange(length) for length in lengths]))


def write_samples(folder: Path, lengths: Sequence[int] = (40,) * 8, ood: Sequence[int] = (30,) * 3) -> tuple[Any, Any]:
    """Both data sets in every form, and params.yaml for vectors; returns the two samples."""
    samples = sample(lengths), sample(ood, first_article=len(lengths), seed=1)
    for name, data in zip(("train", "ood"), samples, strict=True):
        example.write_forms(folder, name, data)
    set_data(folder, "sequences_train.npz", "sequences_ood.npz")
    return samples


def set_data(folder: Path, train: str, ood: str | None) -> None:
    """params.yaml with `data.kind: vectors` and these files."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"] = {"kind": "vectors", "train": train, "ood": ood, "encoder": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def run_import(folder: Path, *stages: str) -> Done:
    """The import stage, and the stages named after it as long as all goes well."""
    for stage in ("import_vectors", *stages):
        done = run_stage([f"stages.{stage}"], folder)
        if done.returncode:
            return done
    return done


def refused(folder: Path, train: str, ood: str | None = None) -> str:
    """The one line of an import that is refused; what an earlier import left stays, and nothing else is there."""
    set_data(folder, train, ood)
    kept = folder / "data/imported/import.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("earlier")
    line = one_clear_line(run_import(folder))
    assert [path.name for path in (folder / "data").rglob("*")] == ["imported", "import.json"]
    assert kept.read_text() == "earlier"
    assert not (folder / ".resume").exists()
    assert not (folder / "executed").exists()
    return line


def use(written: tuple[Path, Any, Any], tmp_path: Path, train: str, ood: str | None) -> Path:
    """A fresh folder that sees the written files."""
    folder, *_ = written
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "params.yaml").unlink()
    set_data(tmp_path, train, ood)
    return tmp_path
