"""Commands for those who work with the pipeline."""
