"""A trained model over HTTP: `python -m lvm_core.service --model data/models/selected` (needs the extra `service`)."""

import os
import signal
import sys
from types import FrameType


def _end(number: int, frame: FrameType | None) -> None:
    os.write(1, b"service: ended\n")
    os._exit(0)


if sys.argv[0] == "-m":  # `python -m lvm_core.service`, which imports this first
    # Idle OpenMP threads sleep soon, as in the stages: they would take the processor from the thread that reads and
    # writes the network. The environment wins.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _end)  # until the server runs there is no request to finish
