"""The comparison: a row for every recipe and every reference predictor, on the same windows.

`columns` (names), `read` (from data/evaluation), `rows` (figures, intervals, gates), `variants` (reversed articles,
other seeds), `phases` (gates after each phase), `left_out` (recipes not held against their variants),
`as_published` (the earlier work's table), `details` (comparison.json and the tables behind the plots), `text` and
`chapters` (comparison.md).
"""
