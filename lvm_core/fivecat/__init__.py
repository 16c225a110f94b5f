"""5CAT, five causal alignment tests, in the corrected frame: does a predictor predict the NEXT chunk?

A offset profile and margins, B retrieval within the article, C order ablations, D rollout, E coherence bins; B is in
`ranking`, the others in `measures`, the figures made of them in `figures`. All are on the same windows of one split.
Corrected frame: offset k is bank row `t - 1 + k` of the window whose target is row t, so k=+1 is the target and k=0 the
last context chunk. (The earlier public reports stored the target's index and called it k=0, which made every offset one
late; figures whose names begin with `published` are in their frame, and no others.)

Evaluate anything that maps contexts [B, 5, D] to predictions [B, D]:

    from lvm_core.bank import load_bank
    from lvm_core.fivecat.evaluate import evaluate
    evaluation = evaluate(load_bank("data/bank"), "val", lambda contexts: contexts.mean(1))

`evaluation.windows` has one row a window, `evaluation.summary` the figures, `evaluation.draws` their bootstrap.
"""
