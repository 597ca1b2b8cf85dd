"""Means over families with intervals, and what one contestant is to another on the same labels.

Every interval is a bootstrap over families and, within each, over draws: 95 % of what the mean
would be with other families of the same kinds, and other shots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kshot.core.seeds import named_generator
from kshot.pipeline.study.jobs import Row

RESAMPLES = 4000
TINY = 1e-9  # eV, eV/Å: an engine beside its own labels is right to rounding, and has a logarithm
COVERED = 0.95
WITHIN = 1.5  # a stated error is good if the true one is within this factor


class Interval(NamedTuple):
    """A mean and what it may be: NaN where one value says nothing of others.

    Args:
        mean: over families, of the means over draws.
        low: of the interval.
        high: of the interval.
        families: how many there are.
    """

    mean: float
    low: float
    high: float
    families: int


class Case(NamedTuple):
    """What is asked of rows: a test set, a number of labels, a quantity."""

    test: str
    k: int
    quantity: str


def values(rows: Sequence[Row], method: str, case: Case) -> dict[str, dict[int, float]]:
    """Return a method's errors, in eV or eV/Å, by family and draw."""
    errors: dict[str, dict[int, float]] = {}
    for row in rows:
        if (row["method"], row["test"], row["k"]) == (method, case.test, case.k):
            error = max(float(row[case.quantity]), TINY)
            errors.setdefault(row["family"], {})[row["draw"]] = error
    return errors


def interval(groups: Sequence[Sequence[float]], seed: int = 0) -> Interval:
    """Return the mean over groups of the means inside them, with its bootstrap interval.

    Args:
        groups: of each family, a value of each draw.
        seed: of the resamples.
    """
    parts = [np.asarray(group, np.float64) for group in groups if len(group)]
    if not parts:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(np.mean([part.mean() for part in parts]))
    if len(parts) == 1 and len(parts[0]) == 1:
        return Interval(mean, np.nan, np.nan, 1)
    means = _resampled(parts, seed)
    tail = 100 * (1 - COVERED) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(mean, float(low), float(high), len(parts))


def _resampled(
    parts: Sequence[Float[np.ndarray, " draws"]], seed: int
) -> Float[np.ndarray, " resamples"]:
    """Return means of resamples: families with replacement, and draws of each with replacement."""
    rng = named_generator(seed, "bootstrap")
    families = rng.integers(0, len(parts), (RESAMPLES, len(parts)))
    means = np.empty(families.shape)
    for number, part in enumerate(parts):
        asked = families == number
        draws = rng.integers(0, len(part), (int(asked.sum()), len(part)))
        means[asked] = part[draws].mean(1)
    return means.mean(1)


def errors(rows: Sequence[Row], method: str, case: Case) -> Interval:
    """Return a method's mean error over families, in meV or meV/Å."""
    found = values(rows, method, case)
    return interval([[1e3 * value for value in draws.values()] for draws in found.values()])


def ratio(rows: Sequence[Row], method: str, base: str, case: Case) -> Interval:
    """Return how many times larger a method's errors are: the geometric mean over equal labels."""
    ours, theirs = values(rows, method, case), values(rows, base, case)
    groups = [
        sorted(
            float(np.log(ours[family][draw] / theirs[family][draw]))
            for draw in ours[family].keys() & theirs[family].keys()
        )
        for family in sorted(ours.keys() & theirs.keys())
    ]
    logs = interval(groups)
    mean, low, high = np.exp(logs[:3])
    return Interval(float(mean), float(low), float(high), logs.families)


class Trust(NamedTuple):
    """What the errors that a method states are worth.

    Args:
        median: of stated over true.
        within: share that is within a factor of 1.5.
        inside: share of true errors that are inside the stated interval; NaN where none is stated.
        runs: how many there are.
    """

    median: float
    within: float
    inside: float
    runs: int


def trust(rows: Sequence[Row], method: str, case: Case) -> Trust | None:
    """Return how a method's stated errors compare with the true ones; None if it states none."""
    stated = f"expected_{case.quantity}"
    runs = [
        row
        for row in rows
        if (row["method"], row["test"], row["k"]) == (method, case.test, case.k)
        and row.get(stated) is not None
        and np.isfinite(row[case.quantity])  # a scan has no forces
    ]
    if not runs:
        return None
    ratios = np.array([row[stated] / row[case.quantity] for row in runs])
    inside = [
        row[f"{stated}_low"] <= row[case.quantity] <= row[f"{stated}_high"]
        for row in runs
        if f"{stated}_low" in row
    ]
    return Trust(
        float(np.median(ratios)),
        float((np.abs(np.log(ratios)) <= np.log(WITHIN)).mean()),
        float(np.mean(inside)) if inside else float("nan"),
        len(runs),
    )


class Forgotten(NamedTuple):
    """How many times larger force errors on the start's anchors are after adaptation."""

    mean: float
    most: float


def forgotten(rows: Sequence[Row], method: str, k: int) -> Forgotten | None:
    """Return what a method forgets, a geometric mean over all runs; None where nobody knows."""
    lost = {
        (row["family"], row["draw"]): row["drift"][1] / row["drift"][0]
        for row in rows
        if (row["method"], row["k"]) == (method, k) and row.get("drift")
    }
    if not lost:
        return None
    factors = np.array(list(lost.values()))
    return Forgotten(float(np.exp(np.log(factors).mean())), float(factors.max()))


def share(rows: Sequence[Row], method: str, k: int, holds: Callable[[Row], bool]) -> float:
    """Return the share of a method's runs at K for which something holds; NaN without runs."""
    runs = {
        (row["family"], row["draw"]): holds(row)
        for row in rows
        if (row["method"], row["k"]) == (method, k)
    }
    return float(np.mean(list(runs.values()))) if runs else float("nan")


def labels_needed(errors_of: Mapping[int, float], goal: float) -> str:
    """Return the least K tried from which on errors stay at or below a goal, in words.

    Args:
        errors_of: mean error by number of labels.
        goal: in the same unit.
    """
    shots, reached = sorted(errors_of), None
    for k in reversed(shots):
        if errors_of[k] > goal:
            break
        reached = k
    if reached is None:
        return f"> {shots[-1]}"
    return f"≤ {reached}" if reached == shots[0] else f"{reached}"
