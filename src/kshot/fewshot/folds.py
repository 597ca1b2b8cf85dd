"""Cross-validation inside the K: which frames are left out, and what errors on those come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kshot.core.seeds import named_generator
from kshot.fewshot.least_squares import Fit, Score, places, score
from kshot.fewshot.shots import Shots, shifted_by, unmoved_fit

FOLDS = 5
PATIENCE = 2  # steps that together gain less than this of the logarithm of the errors are the last
GAIN = 0.01

Fold = Sequence[int] | np.ndarray
"""Frames that are left out together."""


class Fitted(NamedTuple):
    """One fit, and what the true model makes of the labels.

    Args:
        fit: to the frames that were not left out.
        residual: of the true model on all labelled rows, less shifts.
    """

    fit: Fit
    residual: Float[np.ndarray, " rows"]


def folds_of(count: int, seed: int) -> list[np.ndarray]:
    """Return which frames are left out together."""
    order = named_generator(seed, "folds").permutation(count)
    return np.array_split(order, min(FOLDS, count))


def cross_validated(
    task: Shots, folds: Sequence[np.ndarray], steps: Iterable[Sequence[Fitted]]
) -> list[Score]:
    """Return the true model's errors on frames left out, after each step that still helps.

    Args:
        task: the labelled frames.
        folds: which of them each fit of a step leaves out.
        steps: fits of one step after another.
    """
    scores: list[Score] = []
    for step in steps:
        errors = np.full(len(task.rows.frame), np.nan)
        for fold, (fit, residual) in zip(folds, step, strict=True):
            left = places(task.rows, fold)
            errors[left] = (residual + shifted_by(task.rows, fit))[left]
        scores.append(score(task.rows, errors))
        values = [entry.together for entry in scores]
        if len(values) > PATIENCE and min(values[-PATIENCE:]) > min(values[:-PATIENCE]) - GAIN:
            break
    return scores


def shifted_only(task: Shots, folds: Sequence[np.ndarray]) -> Score:
    """Return the start's errors on frames left out, its energies shifted by the others."""
    rows = task.rows
    errors = np.full(len(rows.frame), np.nan)
    for fold in folds:
        left = places(rows, fold)
        errors[left] = (rows.residual + shifted_by(rows, unmoved_fit(task, fold)))[left]
    return score(rows, errors)
