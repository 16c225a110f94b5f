"""What can be wrong with the members of a foreign file: one line that names member and row, and nothing is written."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from tests.forms import refused, run_import, sample, set_data

DATA = sample([30] * 4)
ROWS = np.concatenate([np.arange(5, 30) + 30 * article for article in range(4)])
BANK: dict[str, Any] = {"vectors": DATA.vectors, "article_indices": DATA.article, "chunk_indices": DATA.chunk}
WINDOWS: dict[str, Any] = {
    "contexts": DATA.vectors[ROWS[:, None] + np.arange(-5, 0)],
    "targets": DATA.vectors[ROWS],
    "article_ids": DATA.article[ROWS],
    "target_indices": DATA.chunk[ROWS],
}


def changed(array: np.ndarray, place: Any, value: Any) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy


def objects(*items: Any) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


class Payload:
    """Pickles to a call that makes a file."""

    def __reduce__(self):
        return os.system, ("touch executed",)


META = [
    {"article_index": int(a), "target_chunk_index": int(c)}
    for a, c in zip(DATA.article[ROWS], DATA.chunk[ROWS], strict=True)
]
NO_IDS = {name: WINDOWS[name] for name in ("contexts", "targets")}

MEMBERS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    # windows: shapes and types
    "four contexts": (
        WINDOWS | {"contexts": WINDOWS["contexts"][:, 1:]},
        ("x.npz: contexts", "has 4 context chunks", "need 5"),
    ),
    "flat contexts": (WINDOWS | {"contexts": WINDOWS["contexts"][:, 0]}, ("x.npz: contexts", "(100, 16)", "[W, 5, D]")),
    "other dimension": (WINDOWS | {"targets": WINDOWS["targets"][:, :8]}, ("(100, 5, 16)", "(100, 8)", "do not fit")),
    "fewer targets": (WINDOWS | {"targets": WINDOWS["targets"][1:]}, ("x.npz: targets", "99 rows", "article_ids 100")),
    "other type": (WINDOWS | {"targets": WINDOWS["targets"].astype(np.float64)}, ("float32", "float64", "one type")),
    "whole numbers": (BANK | {"vectors": (DATA.vectors * 9).astype(int)}, ("x.npz: vectors", "int64", "need float16")),
    "complex numbers": (
        BANK | {"vectors": DATA.vectors.astype(complex)},
        ("x.npz: vectors", "complex128", "need float16"),
    ),
    "one axis": (BANK | {"vectors": DATA.vectors[0]}, ("x.npz: vectors", "16 rows", "article_indices 120")),
    "no rows": ({name: value[:0] for name, value in BANK.items()}, ("x.npz: vectors", "(0, 16)")),
    # rows
    "NaN in a context": (
        WINDOWS | {"contexts": changed(WINDOWS["contexts"], (12, 3, 0), np.nan)},
        ("x.npz: contexts", "row 12, position 3", "NaN"),
    ),
    "infinity in a target": (
        WINDOWS | {"targets": changed(WINDOWS["targets"], (7, 2), np.inf)},
        ("x.npz: targets", "row 7", "infinity"),
    ),
    "zero row": (BANK | {"vectors": changed(DATA.vectors, 119, 0)}, ("x.npz: vectors", "row 119", "is zero")),
    "beyond float64": (
        BANK | {"vectors": changed(DATA.vectors.astype(np.float64), 4, 1e200)},
        ("x.npz: vectors", "row 4", "too long"),
    ),
    # ids
    "repeated id": (
        BANK | {"chunk_indices": changed(DATA.chunk, 17, 16)},
        ("x.npz", "row 16 and", "row 17", "chunk 16 of article 0"),
    ),
    "repeated window": (
        WINDOWS | {"target_indices": changed(WINDOWS["target_indices"], 3, 7)},
        ("targets row 2 and", "targets row 3", "chunk 7 of article 0"),
    ),
    "negative position": (
        BANK | {"chunk_indices": changed(DATA.chunk, 9, -2)},
        ("x.npz: chunk_indices", "row 9", "-2 is negative"),
    ),
    "negative article": (
        WINDOWS | {"article_ids": changed(WINDOWS["article_ids"], 9, -1)},
        ("x.npz: article_ids", "row 9", "-1 is negative"),
    ),
    "beyond int64": (
        BANK | {"chunk_indices": changed(DATA.chunk.astype(np.uint64), 5, 2**63)},
        ("x.npz: chunk_indices", "row 5", "9223372036854775808 exceeds"),
    ),
    "beyond int64, object": (
        WINDOWS | {"target_indices": objects(*[2**70] * 100)},
        ("x.npz: target_indices", "row 0", "exceeds"),
    ),
    "fractions as ids": (
        BANK | {"chunk_indices": DATA.chunk + 0.5},
        ("x.npz: chunk_indices", "row 0", "0.5 is not a whole number"),
    ),
    "texts as positions": (BANK | {"chunk_indices": DATA.chunk.astype(str)}, ("x.npz: chunk_indices", "whole numbers")),
    "empty id": (
        BANK | {"article_indices": changed(DATA.article.astype("U9"), 8, " ")},
        ("x.npz: article_indices", "row 8", "is empty"),
    ),
    "too few ids": (
        BANK | {"article_indices": DATA.article[1:]},
        ("x.npz: vectors", "120 rows", "article_indices 119"),
    ),
    "too few positions": (
        WINDOWS | {"target_indices": WINDOWS["target_indices"][1:]},
        ("x.npz: targets", "100 rows", "target_indices 99"),
    ),
    "two axes of ids": (
        BANK | {"article_indices": DATA.article[:, None]},
        ("x.npz: article_indices", "(120, 1)", "one value a row"),
    ),
    # the same id with different vectors, in windows
    "changed context": (
        WINDOWS | {"contexts": changed(WINDOWS["contexts"], (30, 4), DATA.vectors[0])},
        ("contexts row 30, position 4", "targets row 29", "chunk 9 of article 1"),
    ),
    "changed target": (
        WINDOWS | {"targets": changed(WINDOWS["targets"], 30, DATA.vectors[0])},
        ("targets row 30", "contexts row 31, position 4", "chunk 10 of article 1"),
    ),
    # what is missing
    "no targets": (
        {"contexts": WINDOWS["contexts"]},
        ("x.npz: has no targets", "target_vectors", "there are: contexts"),
    ),
    "no contexts": (
        {"targets": WINDOWS["targets"], "y": WINDOWS["targets"]},
        ("x.npz: has no contexts", "context_sequences", "there are: targets, y"),
    ),
    "nothing known": (
        {"a": DATA.vectors, "b": DATA.article},
        ("x.npz: has no vectors", "vectors|embeddings|X", "there are: a, b"),
    ),
    "no article ids": (
        {"vectors": DATA.vectors, "chunk_indices": DATA.chunk},
        ("x.npz: has no ids of articles", "article_indices or article_ids", "there are: vectors, chunk_indices"),
    ),
    "half of the ids": (
        NO_IDS | {"article_ids": WINDOWS["article_ids"]},
        ("x.npz: has article_ids but no target_indices",),
    ),
    "bytes that are no text": (
        BANK | {"article_indices": np.array([b"a"] * 119 + [b"\xff"])},
        ("x.npz: article_indices", "row 119", "not UTF-8"),
    ),
    "an id of a megabyte": (
        BANK | {"article_indices": objects(*["a"] * 119, "b" * 10**6)},
        ("x.npz: article_indices", "row 119", "longer than 1000"),
    ),
    "a number of many digits": (
        NO_IDS | {"metadata": objects(META[0] | {"article_index": 10**5000}, *META[1:])},
        ("x.npz: metadata", "row 0", "exceeds"),
    ),
    "an array as an id": (
        NO_IDS | {"metadata": objects(META[0] | {"article_index": np.array([1, 2])}, *META[1:])},
        ("x.npz: metadata", "row 0", "not a whole number"),
    ),
    "an array as a truth": (
        NO_IDS | {"metadata": objects(META[0] | {"crosses_article": np.array([1, 2])}, *META[1:])},
        ("x.npz: metadata", "row 0", "crosses_article"),
    ),
    "vectors of three axes": (BANK | {"vectors": DATA.vectors[:, None]}, ("x.npz: vectors", "(120, 1, 16)", "[N, D]")),
    "short articles": (
        {name: value[DATA.chunk < 4] for name, value in BANK.items()},
        ("the longest article has 4 chunks, a window needs 6",),
    ),
    "two articles": (
        {name: value[DATA.article < 2] for name, value in BANK.items()},
        ("data.train has 2 articles", "need one each"),
    ),
    # metadata
    "metadata of numbers": (
        NO_IDS | {"metadata": objects(*range(100))},
        ("x.npz: metadata", "row 0", "int", "need a dict"),
    ),
    "a dict without ids": (
        NO_IDS | {"metadata": objects(*META[:50], {"other": 1}, *META[51:])},
        ("x.npz: metadata", "row 50", "lacks article_index or article_id", "other"),
    ),
    "a wrong id": (
        NO_IDS | {"metadata": objects(*META[:50], META[50] | {"target_chunk_index": "x"}, *META[51:])},
        ("x.npz: metadata: target position", "row 50", "'x'"),
    ),
    "too few dicts": (NO_IDS | {"metadata": objects(*META[1:])}, ("x.npz: targets", "100 rows", "metadata 99")),
    # object arrays
    "vectors of objects": (BANK | {"vectors": DATA.vectors.astype(object)}, ("x.npz: vectors",)),
    "payload in metadata": (NO_IDS | {"metadata": objects(Payload(), *META[1:])}, ("x.npz: metadata", "system")),
    "payload in a dict": (
        NO_IDS | {"metadata": objects({"article_index": Payload()}, *META[1:])},
        ("x.npz: metadata", "system"),
    ),
    "payload in article ids": (
        WINDOWS | {"article_ids": objects(*["a"] * 99, Payload())},
        ("x.npz: article_ids", "system"),
    ),
    "payload in positions": (BANK | {"chunk_indices": objects(*[Payload()] * 120)}, ("x.npz: chunk_indices", "system")),
    "payload in texts": (
        BANK | {"concept_texts": objects(*["a"] * 119, Payload())},
        ("x.npz: concept_texts", "system"),
    ),
    "number as a text": (
        BANK | {"concept_texts": objects(*["a"] * 119, 5)},
        ("x.npz: concept_texts", "row 119", "5 is not a text"),
    ),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_members(tmp_path, case):
    members, words = MEMBERS[case]
    np.savez(tmp_path / "x.npz", **members)
    line = refused(tmp_path, "x.npz")
    for word in words:
        assert word in line


@pytest.mark.parametrize("compressed", [False, True])
def test_a_payload_in_a_member_that_is_not_needed_is_not_even_read(tmp_path, compressed):
    (np.savez_compressed if compressed else np.savez)(tmp_path / "x.npz", **BANK, cpe_ids=objects(*[Payload()] * 120))
    set_data(tmp_path, "x.npz", None)
    assert run_import(tmp_path).returncode == 0
    assert not (tmp_path / "executed").exists()
