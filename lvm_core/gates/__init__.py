"""Gates: what a row of the comparison has to reach, written as data in params.yaml (`gates.sets`).

A set has gates, a gate has conditions that must all hold, and a condition puts a limit to one figure of one split: to
the figure itself, or to an end of its 95 % interval, or to its lead over the best of some reference predictors. No
stage fails at a gate: stages write down who passed which (`judge`, `text`), and `python -m lvm_core.gates --recipe R
--set S` answers with its exit code. Each recipe is held against one set after every phase (`after_phases`); only with
`gates.policy: enforce` is one that does not pass it after phase A trained no further.

`params` has the form of the data, `results` that of the answers, `judge` goes from figures to answers, `text` writes
them as Markdown. This file imports nothing.
"""
