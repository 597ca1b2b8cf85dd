"""The sinusoid problem of Finn et al. 2017, as plain numpy arrays that every entry shares."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Weights = tuple[tuple[Array, Array], ...]  # (matrix in x out, bias) per layer

LAYERS = (1, 40, 40, 1)
BATCHES = 400
TASKS = 25
SHOTS = 10
SEED = 20170306


@dataclass(frozen=True)
class Problem:
    """Task arrays are `(batches, tasks, shots, 1)`; outer step i uses batch `i % batches`."""

    support_x: Array
    support_y: Array
    query_x: Array
    query_y: Array
    weights: Weights
    inner_steps: int
    inner_rate: float = 0.01
    outer_rate: float = 1e-3

    @property
    def batches(self) -> int:
        return len(self.support_x)


def make_problem(inner_steps: int) -> Problem:
    rng = np.random.default_rng(SEED)
    shape = (BATCHES, TASKS, 1, 1)
    amplitude = rng.uniform(0.1, 5.0, shape)
    phase = rng.uniform(0.0, np.pi, shape)
    x = rng.uniform(-5.0, 5.0, (BATCHES, TASKS, 2 * SHOTS, 1))
    y = amplitude * np.sin(x + phase)
    x, y = x.astype(np.float32), y.astype(np.float32)
    return Problem(
        support_x=x[:, :, :SHOTS],
        support_y=y[:, :, :SHOTS],
        query_x=x[:, :, SHOTS:],
        query_y=y[:, :, SHOTS:],
        weights=make_weights(LAYERS, rng),
        inner_steps=inner_steps,
    )


def make_weights(layers: tuple[int, ...], rng: np.random.Generator) -> Weights:
    """Uniform in ±1/sqrt(inputs), torch's own default: no entry's loss starts out of proportion."""
    weights = []
    for inputs, outputs in pairwise(layers):
        bound = inputs**-0.5
        matrix = rng.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)
        bias = rng.uniform(-bound, bound, outputs).astype(np.float32)
        weights.append((matrix, bias))
    return tuple(weights)
