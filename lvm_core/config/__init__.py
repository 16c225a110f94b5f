"""Every parameter of params.yaml, typed and validated, and the recipes made of them. Imports no torch."""
