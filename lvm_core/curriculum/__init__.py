"""The curriculum: the windows that each phase of a recipe trains on."""
