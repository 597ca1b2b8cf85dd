"""What more labels are worth: leave-one-out errors against their number, carried on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kshot.core.seeds import named_generator
from kshot.fewshot.least_squares import Gram, score

TINY = 1e-9  # eV, eV/Å: no error is so small that its logarithm matters


class Point(NamedTuple):
    """One point of the learning curve: leave-one-out errors with so many labels."""

    labels: int
    energy: float
    forces: float
    predicted: bool


def learning_curve(problem: Gram, factor: float, seed: int) -> tuple[Point, ...]:
    """Return leave-one-out errors with a quarter, a half and all of the labels, and what follows.

    A straight line through the logarithms is carried on to twice and four times as many labels; it
    says what more labels are worth, not what they will bring.
    """
    count = int(problem.rows.frame.max()) + 1
    order = named_generator(seed, "curve").permutation(count)
    sizes = sorted({max(2, count // 4), max(2, count // 2), count})
    points = []
    for size in sizes:
        part = problem.of(order[:size])
        found = score(part.rows, part.solve(factor).left_out())
        points.append(Point(size, found.energy, found.forces, predicted=False))
    if len(points) < 2:
        return tuple(points)
    x = np.log([one.labels for one in points])
    measured = np.array([(one.energy, one.forces) for one in points], np.float64)
    columns = np.log(np.maximum(measured, TINY)).T
    lines = [np.polyfit(x, column, 1) for column in columns]
    for size in (2 * count, 4 * count):
        # more labels never make a prediction worse than the last measured one.
        guess = [
            min(float(np.exp(np.polyval(line, np.log(size)))), now)
            for line, now in zip(lines, points[len(sizes) - 1][1:3], strict=True)
        ]
        points.append(Point(size, *guess, predicted=True))
    return tuple(points)
