"""`python -m lvm_core.fivecat --model DIR --bank DIR`: judge any model directory on any bank.

Prints, for each split, the headline figures with their 95 % intervals, beside those of two predictors that have learned
nothing (the last context chunk, the mean of the context) on the same windows.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvm_core.config.figures import HEADLINE
from lvm_core.runtime.cli import Parser, run_command
from lvm_core.runtime.errors import LvmError

if TYPE_CHECKING:  # torch and pandas take seconds to load, which --help and a typing mistake should not
    from lvm_core.bank import Bank
    from lvm_core.config.groups import EvaluateParams
    from lvm_core.fivecat.evaluate import Evaluation
    from lvm_core.fivecat.measures import Predictor
    from lvm_core.fivecat.statistics import Judgement
    from lvm_core.models.checkpoint import LoadedModel


def main(arguments: Sequence[str]) -> None:
    """Evaluate and print."""
    given = _parse(arguments)
    params, seed, threads = _settings(given)
    if given.json and (Path(given.json).is_dir() or not Path(given.json).absolute().parent.is_dir()):
        raise LvmError(f"--json {given.json}: must be a file in a folder that is there")  # said before the work

    from lvm_core.bank import load_bank, require_content
    from lvm_core.fivecat.evaluate import evaluate_splits, judgement_of
    from lvm_core.fivecat.measures import from_model
    from lvm_core.fivecat.references import context_mean, copy_last
    from lvm_core.models.checkpoint import load_model
    from lvm_core.runtime.files import write_json
    from lvm_core.runtime.hardware import resolve_device, use_threads

    use_threads(threads)
    device = resolve_device(given.device)
    bank, model = load_bank(given.bank), load_model(given.model).to(device)
    require_content(bank)
    wanted = list(dict.fromkeys(given.split or ("val", "ood")))
    check_fit(model, given.model, bank, given.bank, wanted)
    splits = [split for split in wanted if len(bank.targets(split))]

    name = Path(given.model).resolve().name
    beside = [copy_last(), context_mean()]
    predictors: dict[str, Predictor] = {"model": from_model(model, name)}
    predictors |= {predictor.name: predictor for predictor in beside}
    with redirect_stdout(None):  # the tables say it all
        evaluations = {
            key: evaluate_splits(bank, predictor, params, seed=seed, device=device, splits=splits)
            for key, predictor in predictors.items()
        }
    judgements = {key: judgement_of(done) for key, done in evaluations.items()}
    for split in splits:
        print(table_text(split, evaluations["model"][split].summary, judgements, name))
    if given.json:
        write_json(given.json, to_json(evaluations, judgements, model, seed))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("python -m lvm_core.fivecat", "--model DIR --bank DIR", (__doc__ or "").split("\n\n")[1])
    parser.add_argument("--model", required=True, metavar="DIR", help="folder with model.json and model.safetensors")
    parser.add_argument("--bank", required=True, metavar="DIR", help="folder with vectors.npy and bank.json")
    parser.add_argument("--split", action="append", metavar="S", help="train, dev, val or ood; again for more of them")
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file too")
    parser.add_argument("--params", metavar="FILE", help="a params.yaml whose evaluate, seed and threads to use")
    parser.add_argument("--seed", type=int, metavar="N", help="of every random draw (default: of --params, or 0)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: of --params, or one a processor core")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (default: auto)")
    return parser.parse_args(arguments)


def _settings(given: argparse.Namespace) -> tuple[EvaluateParams, int, int]:
    """Parameters of the evaluation, seed and threads: of the command line, else of --params, else the defaults."""
    from lvm_core.bank import SPLITS
    from lvm_core.config.groups import EvaluateParams
    from lvm_core.config.params import Device, Seed, Threads, load_common, load_group, read_params, validate

    unknown = [split for split in given.split or () if split not in SPLITS]
    if unknown:
        raise LvmError(f"--split {unknown[0]}: there are {', '.join(SPLITS)}")
    params, seed, threads = EvaluateParams(), 0, os.cpu_count() or 1
    if given.params:
        raw = read_params(given.params)
        params = load_group(raw, "evaluate", EvaluateParams, given.params)
        common = load_common(raw, given.params)
        seed, threads = common.seed, common.threads
    seed = seed if given.seed is None else given.seed
    threads = threads if given.threads is None else given.threads
    for key, value, kind in (("device", given.device, Device), ("seed", seed, Seed), ("threads", threads, Threads)):
        validate(value, kind, f"--{key}", "command line")
    return params, seed, threads


def check_fit(model: LoadedModel, model_directory: str, bank: Bank, bank_directory: str, splits: Sequence[str]) -> None:
    """Refuse a bank that the model cannot be judged on; say on stderr what makes its figures hard to read."""
    reads, holds = (
        f"{info.dimension}-d vectors of {info.encoder or 'an unnamed encoder'}" for info in (model.info, bank.info)
    )
    if model.info.dimension != bank.info.dimension:
        raise LvmError(f"{model_directory}: reads {reads}, {bank_directory} holds {holds}; give a bank that fits")
    empty = [split for split in splits if not len(bank.targets(split))]
    if len(empty) == len(splits):
        raise LvmError(
            f"{bank_directory}: no window in {' or '.join(splits)} (no article of 6 chunks); name another --split"
        )
    for split in empty:
        _say(f"note: {split} has no window in {bank_directory} (no article of 6 chunks) and is left out")
    if (model.info.encoder, model.info.encoder_sha256) != (bank.info.encoder, bank.info.encoder_sha256):
        _say(f"warning: {model_directory} reads {reads}, {bank_directory} holds {holds}: not the same encoder")
    elif model.info.data_sha256 != bank.info.content_sha256:
        _say(f"note: {model_directory} was trained on another bank, which may have had articles of this one")


SEEN = {"memory": "the mean of the chunks before the target", "document": "the mean of the whole article"}
"""What a model may be given beside the context, in words."""


def table_text(split: str, summary: Mapping[str, Any], judgements: Mapping[str, Judgement], name: str) -> str:
    """The headline figures of one split as a table, a column a predictor."""
    titles = [name if key == "model" else key for key in judgements]
    lines = [["", *titles]]
    for figure in HEADLINE:
        lines.append([figure, *(_cell(judgement, f"{split}_{figure}") for judgement in judgements.values())])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    head = (
        f"{split}: {summary['windows']['all']:,} windows of {summary['articles']:,} articles; in brackets the 95 % "
        "interval of a bootstrap over articles; retrieval without the context chunks unless `unmasked`; `forward`: "
        "among the chunks after the context, `centred`: all less the mean of their article"
    )
    if judgements["model"].sees != "context":
        head += f"; {name} sees {SEEN[judgements['model'].sees]} too"
    return "\n".join([head, "", *rows, ""])


def _cell(judgement: Judgement, key: str) -> str:
    value, (low, high) = judgement.value[key], judgement.interval(key)
    if value is None:
        return "-"
    return f"{value:7.4f}" if low is None else f"{value:7.4f} [{low:.4f}, {high:.4f}]"


def to_json(
    evaluations: Mapping[str, Mapping[str, Evaluation]],
    judgements: Mapping[str, Judgement],
    model: LoadedModel,
    seed: int,
) -> dict[str, Any]:
    """All figures: by predictor and split the headline figures with their intervals, and the whole summary; of the
    model also what it sees beside the context.
    """

    def figure(judgement: Judgement, key: str) -> dict[str, Any]:
        low, high = judgement.interval(key)
        return {"value": judgement.value[key], "lo": low, "hi": high}

    predictors: dict[str, Any] = {key: {} for key in evaluations}
    for key, by_split in evaluations.items():
        for split, evaluation in by_split.items():
            figures = {name: figure(judgements[key], f"{split}_{name}") for name in HEADLINE}
            predictors[key][split] = {"figures": figures, "summary": evaluation.summary}
    trained = {key: getattr(model.info, key) for key in ("recipe", "phase", "epoch", "dimension", "encoder")}
    return {"trained": {**trained, "sees": model.sees}, "seed": seed, "predictors": predictors}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_command(main, interrupted="interrupted: nothing was written")
