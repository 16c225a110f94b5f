"""A sample of the hostile files of `make verify`, and a planted pickle for every reader."""

from __future__ import annotations

import ast
import json
import pickle
import random
import shutil

import pytest

from lvm_core.config.params import read_params
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import parse_yaml
from tests.hostile_files.__main__ import parts
from tests.hostile_files.binary import PICKLE, Planted, npy_pickle
from tests.hostile_files.samples import READERS
from tests.paths import ROOT
from tests.processes import finish, fork, stage_code

pytestmark = pytest.mark.xdist_group("forked")

SAMPLE = 6


def test_the_cases_are_ten_thousand_and_of_every_reader():
    jobs = list(parts(10_000))
    assert sum(count for _, _, count in jobs) >= 10_000
    assert {name for name, _, _ in jobs} == set(READERS)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    code = stage_code(["tests.hostile_files.throw", ",".join(READERS), "1000000", str(SAMPLE)])
    return json.loads(finish(fork(code, tmp_path_factory.mktemp("thrown"))))


@pytest.mark.parametrize("name", READERS)
def test_hostile_files_are_read_or_refused_in_one_line(sample, name):
    assert [told["wrong"] for told in sample.values() if told["wrong"]] == []
    told = sample[name]
    assert told["read"] + told["refused"] == SAMPLE
    assert told["refused"] >= 1


def test_harm_is_noticed(tmp_path):
    """The watch itself: a reader that does what is forbidden is found out, whatever it does."""
    code = (
        "import json, os, pickle, sys, tests.hostile_files.samples as s, tests.hostile_files.throw as t, numpy as np\n"
        "from tests.hostile_files.binary import PICKLE\n"
        "def bad(folder, calls=[]):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 2: pickle.loads(PICKLE)\n"
        "    if len(calls) == 3: raise KeyError('x')\n"
        "    if len(calls) == 4: np.ones(10**8).sum()\n"
        f"    if len(calls) == 5: open('{tmp_path}/elsewhere', 'w').close()\n"
        "    if len(calls) == 6:\n"
        "        t.SECONDS = 1\n"
        "        np.ones(10**10)\n"
        "    if len(calls) == 7:\n"
        "        t.WAITING = 2\n"
        "        while True: pass\n"
        "    if len(calls) == 8: os.read(os.pipe()[0], 1)\n"
        "s.READERS['small'] = s.Reader(s._small_files, bad, ('gate.json',), 1)\n"
        "print(json.dumps(t.throw('small', 0, 8)))"
    )
    wrong = " ".join(json.loads(finish(fork(code, ROOT)))["wrong"])
    for words in (
        "pickle.find_class",
        "os.system",
        "executed",
        "KeyError",
        "MB",
        "opened to be written",
        "MemoryError",
        "TooLong: 1 s of processor time",
        "TooLong: 2 s",
    ):
        assert words in wrong, words
    assert (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", READERS)
def test_a_pickle_planted_in_every_file_is_never_executed(tmp_path, monkeypatch, name):
    reader = READERS[name]
    good = tmp_path / "good"
    good.mkdir()
    reader.write(good)
    for file in reader.files:
        for content in (PICKLE, npy_pickle(b"", random.Random(0))):
            folder = tmp_path / "hostile"
            shutil.copytree(good, folder)
            (folder / file).write_bytes(content)
            monkeypatch.chdir(folder)
            with pytest.raises(LvmError):
                reader.read(folder)
            assert not list(folder.rglob("executed"))
            shutil.rmtree(folder)


def test_the_planted_pickle_is_live(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(PICKLE)
    assert (tmp_path / "executed").exists()
    assert Planted().__reduce__()


UNPICKLE = ("pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve")
CALLS = ("torch.load", "torch.save", "read_pickle", "to_pickle")


def pickles(tree: ast.AST) -> bool:
    """Whether code imports something that unpickles, or calls what does it by itself, or lets numpy or torch do it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and {alias.name.split(".")[0] for alias in node.names} & set(UNPICKLE):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLE:
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(CALLS):
            return True
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only"):
            return ast.unparse(node.value) != str(node.arg == "weights_only")
    return False


def test_one_module_alone_knows_pickle():
    files = [path for folder in ("lvm_core", "stages", "tools") for path in (ROOT / folder).rglob("*.py")]
    users = [path.relative_to(ROOT).as_posix() for path in files if pickles(ast.parse(path.read_text()))]
    assert users == ["lvm_core/importers/pickle_reader.py"]
    for code in ("import pickle", "from joblib import load", "torch.load(x)", "np.load(x, allow_pickle=flag)"):
        assert pickles(ast.parse(code))


def test_a_few_lines_of_yaml_that_stand_for_billions_of_values(tmp_path):
    bomb = "a0: &a0 [1]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))
    with pytest.raises(LvmError, match=r"x\.yaml: line \d+: holds more than 100,000 values"):
        parse_yaml(bomb, "x.yaml")
    with pytest.raises(LvmError, match=r"an alias .* stands inside what it stands for"):
        parse_yaml("a: &a [*a]", "x.yaml")
    with pytest.raises(LvmError, match="line 2: the key a is there twice"):
        parse_yaml("a: 1\na: 2", "x.yaml")
    with pytest.raises(LvmError, match="a number of 5,000 digits"):
        parse_yaml("a: " + "1" * 5000, "x.yaml")
    assert parse_yaml("a: &a {b: 1}\nc: {<<: *a, d: 2}", "x.yaml") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text() + "\nseed: 43\n")
    with pytest.raises(LvmError, match="the key seed is there twice"):
        read_params(tmp_path / "params.yaml")
