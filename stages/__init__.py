"""One script per pipeline stage: read params, call lvm_core, write outputs. Run as `python -m stages.<name>`."""

import os

# Before any numeric library is loaded: idle threads sleep instead of spinning. On a busy machine spinning threads of
# two programs starve each other (training became 40 times slower beside a second job); on a quiet one it costs little.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
