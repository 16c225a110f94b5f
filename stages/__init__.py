"""One script per pipeline stage: read params, call lvm_core, write outputs. Run as `python -m stages.<name>`."""

import os

# Before any numeric library is loaded: idle OpenMP threads spin only briefly before they sleep. With the default two
# busy programs starve each other (training beside an embedding run became 40 times slower); without any spinning a
# quiet machine loses half its speed. 1,000 rounds cost nothing measurable on a quiet one.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
