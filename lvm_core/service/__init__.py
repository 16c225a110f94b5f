"""A trained model over HTTP: `python -m lvm_core.service --model data/models/selected` (needs the extra `service`)."""
