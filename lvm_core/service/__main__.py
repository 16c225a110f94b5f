"""Serve a model: `python -m lvm_core.service --model data/models/selected --port 9007`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvm_core.runtime.cli import Parser, run_command
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.hardware import set_threads
from lvm_core.service.schemas import Settings

if TYPE_CHECKING:  # torch and the encoder take seconds to load, which a typing mistake should not
    from lvm_core.service.loading import Parts


def main(arguments: Sequence[str]) -> None:
    """Parse the command line, bind the port, serve until SIGTERM or Ctrl-C."""
    asked = _parser().parse_args(arguments)
    settings = _settings(asked)
    set_threads(settings.threads)
    try:
        from lvm_core.service.app import address_of, listen, serve
        from lvm_core.service.state import Service
    except ImportError as error:
        raise LvmError(f"the service needs {error.name}: pip install 'lvm-lab[service]'") from None
    _check_model(asked.model)
    listening = listen(asked.host, asked.port)
    print(f"service: loading {asked.model} for {address_of(listening)}", flush=True)

    def load() -> Parts:
        from lvm_core.runtime.hardware import use_threads
        from lvm_core.service.loading import load_parts

        use_threads(settings.threads)
        return load_parts(asked.model, asked.bank, asked.calibration, Path("metrics/details"), any_bank=asked.any_bank)

    service = Service(load, settings, asked.model.name)
    serve(service, listening)
    print("service: ended", flush=True)
    if service.loading:
        os._exit(0)  # an interpreter that ends beside a thread in the midst of importing torch may crash


def _parser() -> argparse.ArgumentParser:
    parser = Parser("python -m lvm_core.service", "--model DIR [--bank DIR] [--port N]", __doc__ or "")
    parser.add_argument("--model", type=Path, required=True, help="model directory, as data/models/selected")
    parser.add_argument("--bank", type=Path, default=Path("data/bank"), help="bank it was trained on (%(default)s)")
    parser.add_argument("--any-bank", action="store_true", help="another bank of the same encoder; no confidence then")
    parser.add_argument("--calibration", type=Path, help="its calibration (found beside the model)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    parser.add_argument("--port", type=_number(0, 65535), default=9007, help="%(default)s; 0: any free one")
    parser.add_argument("--threads", type=_number(1, 1024), default=2, help="processor threads (%(default)s)")
    parser.add_argument("--queue", type=_number(1, 100_000), default=64, help="requests that may wait (%(default)s)")
    parser.add_argument("--max-batch", type=_number(1, 1024), default=16, help="worked on together (%(default)s)")
    parser.add_argument("--fill", choices=["repeat", "neighbours"], help="of short contexts (service.fill)")
    parser.add_argument("--notice", metavar="TEXT", help="sentence to show at the top of the page")
    parser.add_argument("--steps", type=_number(1, 16), help="most chunks ahead (service.steps)")
    return parser


def _number(low: int, high: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return number


def _settings(asked: argparse.Namespace) -> Settings:
    names = ("threads", "queue", "max_batch", "fill", "steps", "notice")
    return Settings.configured(**{key: value for key in names if (value := getattr(asked, key)) is not None})


def _check_model(directory: Path) -> None:
    if not (directory / "model.json").is_file():
        there = sorted(path.parent.name for path in directory.parent.glob("*/model.json"))
        known = f"; there are {', '.join(there)}" if there else "; run `make repro` to train some"
        raise LvmError(f"{directory}: is no model directory (it has no model.json){known}")


if __name__ == "__main__":
    run_command(main)
