"""Training: batches, losses, the trainer, phases and variants."""
