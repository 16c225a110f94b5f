"""A signal ends a stage within two seconds, with one line, whatever it is doing."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from lvm_core.runtime.interrupts import MESSAGE, Interrupted, exit_code, interruptible, uninterrupted
from tests.processes import SOON, catches, interrupt, start, start_working, wait_for

pytestmark = pytest.mark.xdist_group("forked")

STAGE = [sys.executable, "-m", "stages.train", "small", "a"]


def test_a_signal_while_the_libraries_are_imported_is_one_line_too(tmp_path):
    for wait in (0.0, 0.3):  # later, torch may be there
        process = start(STAGE, tmp_path)
        wait_for(lambda: catches(process, signal.SIGTERM), process)  # noqa: B023 - called at once; before, Python starts
        time.sleep(wait)
        assert interrupt(process, signal.SIGINT).splitlines() == [MESSAGE]


def signal_self(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.05)


def test_a_hangup_counts_unless_nohup_ignores_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises(Interrupted), interruptible():
            signal_self(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with interruptible():
            signal_self(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_pipe_that_nobody_reads_does_not_keep_a_stage_alive(tmp_path):
    code = (
        "import os, fcntl, time\nfrom lvm_core.runtime.cli import run_stage\n"
        "def main():\n os.set_blocking(2, False)\n"
        " try:\n  while True: os.write(2, b'x' * 4096)\n except BlockingIOError: os.set_blocking(2, True)\n"
        " print('go', flush=True)\n time.sleep(30)\nrun_stage(main)"
    )
    process = start_working(code)
    signalled = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    assert time.monotonic() - signalled < SOON
    process.communicate()


def test_two_quick_signals_are_one(tmp_path):
    code = (
        "import time\nfrom lvm_core.runtime.cli import run_stage\n"
        "def main():\n print('go', flush=True)\n time.sleep(30)\nrun_stage(main)"
    )
    for gap in (0.0, 0.02, 0.1):
        process = start_working(code)
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            if process.poll() is None:
                process.send_signal(number)
            time.sleep(gap)
        _, errors = process.communicate(timeout=30)
        assert errors.splitlines() == [MESSAGE]
        # Signals that wait together (a process that has not run in between) have no order: either may be the first.
        assert process.returncode in (130, 143)


def test_the_first_signal_counts_and_later_ones_are_ignored():
    with interruptible():
        with pytest.raises(Interrupted) as first:
            signal_self(signal.SIGTERM)
        for later in (signal.SIGINT, signal.SIGTERM):
            signal_self(later)
    assert exit_code(first.value) == 143


def test_a_signal_waits_for_the_end_of_an_uninterrupted_block():
    done = []

    def work():
        with interruptible(), uninterrupted():
            signal_self(signal.SIGTERM)
            done.append(1)

    with pytest.raises(Interrupted):
        work()
    assert done == [1]


def test_a_long_computation_in_c_does_not_delay_the_end():
    """Sorting gives no chance to Python's handlers for many seconds."""
    code = (
        "import numpy as np\nfrom lvm_core.runtime.cli import run_stage\n"
        "def main():\n x = np.random.default_rng(0).random(60_000_000)\n print('go', flush=True)\n x.sort()\n"
        " np.sort(-x, kind='stable')\nrun_stage(main)"
    )
    process = start_working(code)
    time.sleep(0.2)
    assert interrupt(process, signal.SIGINT).splitlines() == [MESSAGE]
