"""The ladder: the summary's decision procedure, in its order, until a recipe passes its gates after phase A.

`params` has its form in params.yaml, `raising` the recipes of its retries, `plan` the order of the attempts, `check`
the summary's Option 1, `dev_gates` what a set of gates asks on `dev`, `attempts` what became of an attempt, `choose`
the fallback, `climb` all of it; `text` and `check_text` say it in Markdown. `dev` decides, `val` and `ood` only report.
This file imports nothing.
"""
