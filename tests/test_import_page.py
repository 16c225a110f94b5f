"""docs/import.md: its examples print and count what it says (under DVC, and of real vectors: test_e2e_vectors)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lvm_core.config.params import read_params
from tests.calling import run_stage
from tests.documents import Example, examples
from tests.forms import example, load_example, run_import, sample, set_data
from tests.paths import ROOT

EXAMPLES = examples("docs/import.md")
OF_TEXT = [one for one in EXAMPLES if one.data.get("kind") != "vectors"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's first command has run."""
    folder = tmp_path_factory.mktemp("brought")
    (folder / "corpora/example").mkdir(parents=True)
    load_example("write_texts").write_texts(folder / "corpora/example")
    return folder


def part_of(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The values of `whole` for the keys that a part of it has."""
    return {
        key: part_of(whole[key], value) if isinstance(value, dict) and key in ("train", "ood") else whole[key]
        for key, value in part.items()
    }


@pytest.mark.parametrize("shown", OF_TEXT, ids=lambda one: Path(one.data["ood"]).name)
def test_texts_are_read_and_counted_as_the_page_says(folder: Path, shown: Example) -> None:
    params = read_params(ROOT / "params.yaml")
    (folder / "params.yaml").write_text(yaml.safe_dump(params | {"data": params["data"] | shown.data}))
    done = run_stage(["stages.corpus"], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == shown.printed
    metrics = json.loads((folder / "metrics/corpus.json").read_text())
    assert part_of(metrics, shown.metrics) == shown.metrics
    assert {source for source in ("train", "ood") if metrics[source]["left_out"]} == {"train", "ood"}


def test_the_page_has_an_example_of_every_layout(folder: Path) -> None:
    named = {value for one in EXAMPLES for value in one.data.values() if value.startswith("corpora/")}
    written = {f"corpora/example/{path.name}" for path in (folder / "corpora/example").iterdir()}
    assert named - written == {f"corpora/example/documents_{name}.parquet" for name in ("train", "ood")}
    assert written <= named


def test_documents_are_counted_under_the_names_of_the_page(tmp_path: Path) -> None:
    for seed, name in enumerate(("train", "ood")):
        example.write_documents(tmp_path / f"documents_{name}.parquet", sample((9, 9, 9), seed=seed))
    (shown,) = (one for one in EXAMPLES if one not in OF_TEXT)
    set_data(tmp_path, *(Path(shown.data[key]).name for key in ("train", "ood")))
    done = run_import(tmp_path)
    assert done.returncode == 0, done.stderr
    lines, expected = (
        [re.sub(r"\d+", "n", line) for line in some] for some in (done.stdout.splitlines(), shown.printed)
    )
    assert lines == expected
