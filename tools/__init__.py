"""Commands for those who work with the pipeline."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # for `make demo`; as in stages/__init__.py, which says why
