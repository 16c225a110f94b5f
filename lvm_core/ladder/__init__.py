"""The ladder: the summary's decision procedure, in its order, until a recipe passes its gates after phase A.

`params` has its form in params.yaml, `raising` the recipes of its retries, `plan` the order of the attempts, `check`
the summary's Option 1, `dev_gates` what a set of gates asks on `dev`, `attempts` what became of an attempt, `training`
what the ladder trains itself, `choose` the fallback, `climb` all of it; `text` and `check_text` say it in Markdown.
`dev` decides here; under `gates.policy: enforce` the gates on `val` and `ood` have decided before who is trained on.
This file imports nothing.
"""
