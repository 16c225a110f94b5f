"""One script per pipeline stage: read params, call lvm_core, write outputs. Run as `python -m stages.<name>`."""

import os
import signal
import sys

if sys.argv[0] == "-m":  # `python -m stages.<name>`, which imports this first
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while even the handlers are not there

from lvm_core.runtime.interrupts import exit_at_once

# Before any numeric library is loaded: idle OpenMP threads spin only briefly before they sleep. With the default, two
# busy programs on 2 cores starve each other: training beside a matrix product fell to a fifth or stood still. 1,000
# rounds keep 1,000 windows/s there and cost about a quarter of the speed on a quiet machine (medians 1,830 against
# 2,480 windows/s); 6,000 cost next to nothing when quiet, but leave 400 beside the other program. The environment wins.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if sys.argv[0] == "-m":
    exit_at_once()
