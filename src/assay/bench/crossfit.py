"""Predictions of labels for sources that were not fitted on: ridge logistic regression, fold by fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assay.bench.metrics import Flags, Floats

FOLDS = 5
RIDGE = 1.0
MOST_MARKS = 24  # that a fold's model is given


def folds(sources: Sequence[str], fake: Flags, seed: int) -> NDArray[np.intp]:
    """Deal sources to `FOLDS` folds, those with fakes and those without in turn, so that each fold has both."""
    rng = np.random.default_rng(seed)
    with_fakes = {s for s, f in zip(sources, fake.tolist(), strict=True) if f}
    fold: dict[str, int] = {}
    for group in (with_fakes, set(sources) - with_fakes):
        names = sorted(group)
        rng.shuffle(names)
        fold |= {name: k % FOLDS for k, name in enumerate(names)}
    return np.array([fold[s] for s in sources], np.intp)


def cross_fitted(
    coded: Sequence[NDArray[np.intp]], fake: Flags, fold: NDArray[np.intp], marks: Sequence[Flags] = ()
) -> Floats:
    """Predict each sample's label from its values by a logistic model that saw no sample of its source's fold.

    Parameters
    ----------
    coded : sequence of ndarray of int, each of shape (N,)
        One-hot coded here.
    fake : ndarray of bool, shape (N,)
    fold : ndarray of int, shape (N,)
    marks : sequence of ndarray of bool, each of shape (N, D)
        What a sample has or has not. Of each table the `MOST_MARKS` columns are used whose shares differ most between
        the classes of the folds that are fitted on.

    Returns
    -------
    scores : ndarray of float64, shape (N,)
        Log-odds; 0 for values that the other folds do not hold.
    """
    hot = [np.eye(int(v.max()) + 1)[v] for v in coded] or [np.ones((fake.size, 1))]
    scores = np.zeros(fake.size)
    for k in np.unique(fold).tolist():
        learn, judge = fold != k, fold == k
        if fake[learn].any() and not fake[learn].all():
            x = np.concatenate([*hot, *(held[:, _chosen(held, fake, learn)] for held in marks)], axis=1)
            scores[judge] = x[judge] @ logistic(x[learn], fake[learn])
    return scores


def _chosen(held: Flags, fake: Flags, learn: Flags) -> NDArray[np.intp]:
    gap = np.abs(held[learn & fake].mean(0) - held[learn & ~fake].mean(0))
    return np.argsort(-gap, kind="stable")[:MOST_MARKS]


def logistic(x: Floats, fake: Flags, steps: int = 12) -> Floats:
    """Fit a ridge-penalised logistic model by Newton's method, classes weighing the same; without intercept.

    Parameters
    ----------
    x : ndarray of float64, shape (N, D)
    fake : ndarray of bool, shape (N,)

    Returns
    -------
    weights : ndarray of float64, shape (D,)
    """
    n = fake.size
    heavy = np.where(fake, n / (2 * fake.sum()), n / (2 * (~fake).sum()))
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (heavy * (fake - p)) - RIDGE * weights
        curvature = (x * (heavy * p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    return weights
