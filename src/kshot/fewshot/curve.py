"""What more labels are worth: leave-one-out errors against their number, carried on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kshot.core.seeds import named_generator
from kshot.fewshot.expected import ENERGY, FORCES, Expected, expected
from kshot.fewshot.least_squares import Score, Solved

FEWEST = 8  # labels; a quarter of fewer says nothing, and no line is carried on from it
STEEPEST = -0.5  # slope of the logarithms: noise averages out by 1/√K, and what falls faster among
# the first few labels does not go on
DRAWS = 5  # random parts of each size
WIDE = 1.645  # standard deviations on either side that hold nine of ten
TOO_FEW = "no extrapolation to more labels: {} are too few to see a trend in ({} are the least)"


class Point(NamedTuple):
    """One point of the learning curve: expected errors with so many labels.

    Args:
        labels: how many.
        energy: in eV, with the ends of an interval.
        energy_low: lower end.
        energy_high: upper end.
        forces: in eV/Å, with the ends of an interval.
        forces_low: lower end.
        forces_high: upper end.
        extrapolated: beyond what was labelled: a trend that may not go on.
    """

    labels: int
    energy: float
    energy_low: float
    energy_high: float
    forces: float
    forces_low: float
    forces_high: float
    extrapolated: bool


def learning_curve(solved: Solved, at_all: Score, seed: int) -> tuple[Point, ...]:
    """Return expected errors with a quarter, a half and all of the labels, and what may follow.

    Several random parts of each size are left out frame by frame; a straight line through the
    logarithms, robust against parts that went wrong, is carried on to twice and four times as many
    labels. It may rise. With fewer than `FEWEST` labels, nothing is carried on.

    Args:
        solved: the linear problem of all labels.
        at_all: cross-validated errors of what was chosen: the curve goes through what they expect.
        seed: of the parts.
    """
    rows = solved.problem.rows
    count = int(rows.frame.max()) + 1
    atoms = float(rows.counts.sum(1).mean())
    rng = named_generator(seed, "curve")
    sizes = sorted({min(count, max(3, count // 4)), max(2, count // 2), count})
    drawn: dict[int, list[Expected]] = {
        size: [
            expected(solved.score_of(rng.permutation(count)[:size]), size, atoms)
            for _ in range(DRAWS if size < count else 1)
        ]
        for size in sizes
    }
    goal = expected(at_all, count, atoms)
    columns = {
        name: _carried_on(
            {size: [getattr(entry, name) for entry in entries] for size, entries in drawn.items()},
            getattr(goal, name),
            float(np.log(correction.high / correction.low)) / 2,
            (2 * count, 4 * count) if count >= FEWEST else (),
        )
        for name, correction in (("energy", ENERGY), ("forces", FORCES))
    }
    return tuple(
        Point(size, *energy, *forces, extrapolated=size > count)
        for size, energy, forces in zip(
            [*sizes, 2 * count, 4 * count], columns["energy"], columns["forces"], strict=False
        )
    )


def _carried_on(
    drawn: dict[int, list[float]], goal: float, half: float, beyond: Sequence[int]
) -> list[tuple[float, float, float]]:
    """Return errors with the ends of their intervals, of the sizes drawn and of those beyond.

    Args:
        drawn: errors of the parts of each size.
        goal: what the curve has to go through at the largest.
        half: of the logarithm's interval, without any extrapolation.
        beyond: further sizes.
    """
    tiny = np.finfo(float).tiny
    logs = {size: np.log(np.maximum(errors, tiny)) for size, errors in drawn.items()}
    offset = np.log(max(goal, tiny)) - float(np.median(logs[max(logs)]))
    points = [
        _interval(float(np.median(errors)) + offset, half + WIDE * float(np.std(errors)))
        for errors in logs.values()
    ]
    if beyond:
        x = np.concatenate([np.full(len(errors), np.log(size)) for size, errors in logs.items()])
        y = np.concatenate(list(logs.values())) + offset
        slope = max(STEEPEST, _slope(x, y))
        last = np.log(max(logs))
        spread = float(np.std(y - np.median(y - slope * x) - slope * x))
        doubt = spread / float(np.sqrt(np.sum((x - x.mean()) ** 2)))
        points += [
            _interval(
                np.log(max(goal, tiny)) + slope * (np.log(size) - last),
                half + WIDE * float(np.hypot(spread, doubt * (np.log(size) - x.mean()))),
            )
            for size in beyond
        ]
    return points


def _interval(log: float, half: float) -> tuple[float, float, float]:
    return float(np.exp(log)), float(np.exp(log - half)), float(np.exp(log + half))


def _slope(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]) -> float:
    """Return the median slope of all pairs of points of different sizes (Theil and Sen)."""
    first, second = np.triu_indices(len(x), 1)
    apart = x[first] != x[second]
    return float(np.median((y[second] - y[first])[apart] / (x[second] - x[first])[apart]))
