"""The frontier: which margins traced linear predictors have on a bank, and what they pay for them in cosine and R@5.

A predictor p = W f + b of the context f is judged here by root-mean-square lengths: its *cosine* with the chunk at
offset k is E<p, x_k> / |p|, where |p|^2 = E|p|^2 + penalty(W), a quadratic one. Write <u, v> for the inner product that
belongs to this length, and v_k for the (penalised) least-squares prediction of x_k. The normal equations say
E<p, x_k> = <p, v_k> for every linear p, so that all that matters lies in the span of a few least-squares predictions:
the one of the target, v, and the differences d_k = v_1 - v_k to the rivals k = -3..+3, k != 1 (whose means are over the
windows that have them all). The margin-constrained problem

    maximise <p, v> subject to <p, d_k> >= m for every rival k, |p| <= 1

is convex, and its solutions for all m are those of `maximise <p, v> + t min_k <p, d_k>`, |p| <= 1, for all t >= 0.
Writing the minimum as one over weights nu of the rivals (nu_k >= 0, sum 1) and exchanging the two (von Neumann's
minimax theorem), p is the shortest vector of the polytope with the corners v + t d_k:

    p = v + t sum_k nu_k d_k, with nu = argmin |v + t sum_k nu_k d_k|.

So a traced predictor is a ridge regression towards y + t sum_k nu_k (y - x_k), the multipliers cost a nonnegative
least-squares problem of six unknowns (whose coefficients are a few inner products), and one factorisation of the
covariance serves the whole curve. The length of p plays no part, as it plays none in a cosine. Below the
unconstrained margin the constraint is a margin to the last chunk of *at most* m; the same steps give p = v - t d_0,
the straight way from the least-squares prediction (t = 0) to copying the last chunk (t = 1).

Two families: `linear5` (one scalar a context chunk, no intercept, no penalty) and `affine` (any W and b; the penalty
shrinks W towards five scalars and not towards zero, see `families.affine`, so that the family contains `linear5` and
copying, and generalises better than the `ridge` reference). Root-mean-square lengths are not the mean cosines of 5CAT,
because the length of a prediction varies between windows; hence every traced predictor is measured as any other
predictor is. The points of the curve are placed by their measured margins on val itself, which is generous.

What the curve does not show. It is that of the best cosine: the R@5 along it is what these predictors have, not the
most that a linear one could have. One strength of the penalty, the best on dev for the unconstrained cosine, serves the
whole curve, although a smaller one reaches a slightly larger margin: on the default bank +0.0125 at strength 0.001,
instead of +0.009 at the 0.01 chosen (tuned on val, as all points are). So whatever is said of it is said of the traced
linear predictors, not of every linear predictor. And the summary's last criterion for stage A, 3 of the 5 gates of the
published 5CAT, is no part of the question that `answer` answers.

`families`: least-squares predictions, their mixtures and the strength of the penalty. `measure`: the curve
(metrics/frontier.json). `answer`: what it says.
"""

CRITERIA = {"margin": 0.02, "cosine": 0.50, "recall_at_1": 0.60, "recall_at_5": 0.60, "rollout": 0.46}
"""Least value of each figure on val in the earlier work's criteria for stage A; the margin's is for ood too."""
