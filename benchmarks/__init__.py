"""What is measured against what: `python -m benchmarks` runs everything and writes metrics/bench.json and bench.md."""

import os

# As the pipeline's stages do (see stages/__init__.py), and before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
