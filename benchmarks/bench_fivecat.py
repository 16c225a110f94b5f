"""Speed and memory of the evaluation: against a per-window loop, and against the model's own forward passes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.compare import differences
from benchmarks.naive_fivecat import naive_summary
from benchmarks.report import Line, at_least, at_most, for_information
from benchmarks.timing import in_turn
from lvm_core.bank import Bank
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.models import TransformerParams
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.measures import Predictor, from_callable, leave_one_out_orders
from lvm_core.fivecat.ranking import article_scores
from lvm_core.fivecat.references import fit_linear5
from lvm_core.fivecat.windows import canonical_windows, iterate_batches, shuffled_orders
from lvm_core.models import build_model
from lvm_core.runtime.hardware import use_threads
from tests.synthetic import bank_of, published_articles, write_bank

DIMENSION = 768
CHUNKS = 66
"""Chunks an article: 61 windows."""
FIVE_TESTS = EvaluateParams(full_bank=False, contrastive_targets=0)
"""Without the two instruments beyond the five tests that cost something."""
SIZES = {"default": (192, 2, 4, 768), "paper": (512, 4, 8, 2048)}
"""Width, layers, heads and feed-forward width of the transformer in params.yaml and in its profile `paper`."""
ALLOWED_MB = 1024
"""Peak memory above the size of the bank."""

MEMORY = """
import torch
from benchmarks.bench_fivecat import model_of
from lvm_core.bank import load_bank
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.runtime.hardware import use_threads
use_threads(2)
def peak():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
before = peak()
bank = load_bank({directory!r})
evaluate(bank, "val", model_of("default"))
print(bank.vectors.nbytes / 2**20, before, peak())
"""


def measure(quick: bool) -> Iterator[Line]:
    """All lines; `quick` for a tenth of the windows and one round."""
    share, rounds = (10, 1) if quick else (1, 5)
    bank = synthetic_bank({"train": 12, "val": 164 // share})
    linear = fit_linear5(bank)
    naive = naive_summary(bank, "val", linear, FIVE_TESTS)
    apart = differences(naive, evaluate(bank, "val", linear, FIVE_TESTS).summary)
    yield at_most(
        "largest difference of any figure, in units of 1e-5",
        max(apart.values()) / 1e-5,
        1.0,
        "five tests, both frames: `evaluate` and the per-window loop, `linear5`",
        f"{len(apart)} figures over {naive['windows']['all']:,} windows of {DIMENSION}-d",
    )
    for threads in (2, 1):
        use_threads(threads)
        yield _against_loop(bank, linear, threads, 1 if quick else 3)
    yield _other_instruments(bank, linear, rounds)
    for name, articles in (("default", 32 // share), ("paper", max(8 // share, 1))):
        part = synthetic_bank({"val": articles})
        for threads in (2, 1):
            use_threads(threads)
            yield _against_forward(part, name, threads, min(rounds, 3) if name == "paper" else rounds)
    yield _memory(32 // share, 1000 // share)


def synthetic_bank(articles: dict[str, int], dimension: int = DIMENSION) -> Bank:
    """Articles of 66 chunks by split, with the published lag profile, float32."""
    vectors = published_articles(sum(articles.values()), CHUNKS, dimension, seed=0)
    splits = [split for split, count in articles.items() for _ in range(count)]
    return bank_of([(f"a{i:05d}", split, v) for i, (split, v) in enumerate(zip(splits, vectors, strict=True))])


def model_of(size: str) -> Predictor:
    """A transformer of a named size with fresh weights; how fast it is does not depend on them."""
    width, layers, heads, ffn = SIZES[size]
    params = TransformerParams(
        family="transformer", d_model=width, layers=layers, heads=heads, ffn=ffn, dropout=0.1, pos_scalar=None
    )
    torch.manual_seed(0)
    module: nn.Module = build_model(params, DIMENSION).eval()
    return from_callable(module, size)


def _against_loop(bank: Bank, linear: Predictor, threads: int, rounds: int) -> Line:
    def ours() -> None:
        evaluate(bank, "val", linear, FIVE_TESTS)

    timed = in_turn(lambda: naive_summary(bank, "val", linear, FIVE_TESTS), ours, rounds)
    bare = in_turn(lambda: _unavoidable(bank, linear), ours, 5)
    windows = len(bank.targets("val"))
    return at_least(
        f"five tests with `linear5`, {_threads(threads)}",
        timed.ratio,
        100.0,
        "per-window loop (benchmarks/naive_fivecat.py) over `evaluate`",
        f"{windows:,} windows: {timed.first:.2f} s against {timed.second:.2f} s; laying out the contexts, calling the "
        f"predictor and multiplying its answers with the article, measuring nothing, takes {bare.first:.2f} s, so no "
        f"evaluation can reach more than {timed.first / bare.first:.0f}",
    )


def _unavoidable(bank: Bank, predictor: Predictor) -> None:
    """What no evaluation can avoid: the 13 contexts of each window, the predictor's answer to each, and the cosines of
    the answers of the five rollout steps with the article's chunks.
    """
    windows = canonical_windows(bank, "val")
    shuffled = shuffled_orders(windows, 0)
    context, last = np.arange(5), np.full(5, 4)
    asked = [context[::-1], last, last, *leave_one_out_orders()[:4]]
    ranked = [context] * FIVE_TESTS.rollout_steps
    with torch.inference_mode():
        for batch in iterate_batches(bank, windows, FIVE_TESTS.batch_size, "cpu"):
            for order in (shuffled[batch.index], *asked):
                predictor(batch.contexts(order), batch.rows)
            for order in ranked:
                article_scores(predictor(batch.contexts(order), batch.rows), batch)


def _other_instruments(bank: Bank, linear: Predictor, rounds: int) -> Line:
    use_threads(2)
    timed = in_turn(lambda: evaluate(bank, "val", linear), lambda: evaluate(bank, "val", linear, FIVE_TESTS), rounds)
    return for_information(
        f"all instruments with `linear5`, {_threads(2)}",
        timed.ratio,
        "`evaluate` with contrastive accuracy and full-bank retrieval over the five tests",
        f"{timed.first:.2f} s against {timed.second:.2f} s; bank of {len(bank.vectors):,} chunks",
    )


def _against_forward(bank: Bank, size: str, threads: int, rounds: int) -> Line:
    model = model_of(size)
    asked = _contexts_asked(bank, model)

    @torch.inference_mode()
    def forward() -> None:
        for contexts, rows in asked:
            model(contexts, rows)

    timed = in_turn(lambda: evaluate(bank, "val", model, FIVE_TESTS), forward, rounds)
    return at_most(
        f"five tests with the `{size}` transformer, {_threads(threads)}",
        timed.ratio,
        1.2,
        "`evaluate` over the model's own forward passes of the same batches, contexts at hand",
        f"{len(bank.targets('val')):,} windows, {len(asked)} passes: {timed.first:.2f} s against {timed.second:.2f} s",
    )


def _contexts_asked(bank: Bank, predictor: Predictor) -> list[tuple[Tensor, np.ndarray]]:
    """What an evaluation asks of the predictor, call by call."""
    asked: list[tuple[Tensor, np.ndarray]] = []

    def predict(contexts: Tensor, rows: np.ndarray, memory: Tensor | None) -> Tensor:
        asked.append((contexts.clone(), rows))
        return predictor(contexts, rows)

    evaluate(bank, "val", Predictor(predictor.name, predict), FIVE_TESTS)
    return asked


def _memory(val: int, train: int) -> Line:
    """A fresh process evaluates the default model with all instruments on a bank in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        directory = str(Path(folder) / "bank")
        write_bank(synthetic_bank({"train": train, "val": val}), Path(directory))
        command = [sys.executable, "-c", MEMORY.format(directory=directory)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    bank, before, peak = map(float, done.stdout.split())
    return at_most(
        "peak memory above the bank, in GB",
        (peak - bank) / ALLOWED_MB,
        1.0,
        "peak resident memory of a fresh process less the bank (all instruments, `default` transformer)",
        f"peak {peak:.0f} MB, bank {bank:.0f} MB; {before:.0f} MB of the peak were there after the imports",
    )


def _threads(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"
