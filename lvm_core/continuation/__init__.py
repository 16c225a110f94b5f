"""From a few given chunks to the chunks that come next: filling the context, nearest chunks, calibrated confidence.

What the service does with a model, and what the stage `calibrate` measures on dev, by the same code.
"""
