"""The memory problem: one task, 512 support and 512 query points, MLP 1-512-512-512-1."""

from dataclasses import dataclass

import numpy as np
from sinusoid import Array, Weights, make_weights

WIDTH = 512
POINTS = 512
RATE = 0.01


@dataclass(frozen=True)
class WideProblem:
    support_x: Array
    support_y: Array
    query_x: Array
    query_y: Array
    weights: Weights
    inner_steps: int
    inner_rate: float = RATE


def make_wide_problem(inner_steps: int, width: int = WIDTH, points: int = POINTS) -> WideProblem:
    rng = np.random.default_rng(512)
    x = rng.uniform(-5.0, 5.0, (2, points, 1)).astype(np.float32)
    y = (2.0 * np.sin(x + 0.5)).astype(np.float32)
    return WideProblem(
        support_x=x[0],
        support_y=y[0],
        query_x=x[1],
        query_y=y[1],
        weights=make_weights((1, width, width, width, 1), rng),
        inner_steps=inner_steps,
    )
