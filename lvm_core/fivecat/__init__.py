"""5CAT, five causal alignment tests, in the corrected frame: does a predictor predict the NEXT chunk?

A offset profile and margins (`profile`), B retrieval within the article (`retrieval`), C order ablations (`order`),
D rollout (`rollout`), E coherence bins (`coherence`); all on the same windows (`window_sets`) of one split. Corrected
frame: offset k is bank row `t - 1 + k` of the window whose target is row t, so k=+1 is the target and k=0 the last
context chunk. (The earlier public reports stored the target's index and called it k=0, which made every offset one
late; `published` has their figures, under names of their own, and nothing else uses that frame.)

Evaluate anything that maps contexts [B, 5, D] to predictions [B, D]:

    from lvm_core.bank import load_bank
    from lvm_core.fivecat.evaluate import evaluate
    evaluation = evaluate(load_bank("data/bank"), "val", lambda contexts: contexts.mean(1))

`evaluation.windows` has one row a window, `evaluation.summary` the figures. This file imports nothing, so that the
names of the figures (`headline`) can be had without torch.
"""
