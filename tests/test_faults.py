"""Three faults in one run of the real DVC: a sample of `make verify`, with `make soak` (test_e2e has a smaller one)."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from tests.faults.kills import POINTS, kill_at
from tests.faults.others import truncated_output
from tests.faults.project import FAULT_PROFILE, differences, finish_repro, leftovers, log_of, make_project, results
from tests.paths import ROOT
from tests.shell import sh

(TARGET,) = FAULT_PROFILE
"""As far as it goes: text, embedding, curriculum, a phase of training."""


def test_ctrl_c_is_heard_by_what_is_started_although_a_background_job_ignores_it():
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from tests.faults.project import hear_ctrl_c\n"
        f"start = lambda: subprocess.run([sys.executable, '-c', {child!r}])\n"
        "start(), hear_ctrl_c(), start()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.e2e
@pytest.mark.soak
def test_three_faults_in_one_run_leave_no_trace(tmp_path):
    folder = tmp_path / "disturbed"
    make_project(folder)
    assert kill_at(folder, POINTS["with dvc.lock just emptied"], 3, 0.0, TARGET), log_of(folder).read_text()[-2000:]
    assert (folder / "dvc.lock").read_text() == ""
    assert finish_repro(folder, "corpus"), "DVC refuses the empty lock until it is mended"
    assert kill_at(folder, POINTS["between epochs and in them"], 1, 0.3, TARGET), log_of(folder).read_text()[-2000:]
    finish_repro(folder, TARGET)
    before = results(folder)
    truncated_output(folder, random.Random(0))
    finish_repro(folder, TARGET)
    assert results(folder) == before
    assert not leftovers(folder)

    undisturbed = tmp_path / "undisturbed"
    make_project(undisturbed)
    sh(f"PYTHONPATH={undisturbed} dvc repro --quiet {TARGET}", undisturbed)
    assert not differences(results(undisturbed), before)
