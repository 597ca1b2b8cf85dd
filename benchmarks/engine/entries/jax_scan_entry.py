"""Hand-written minimal JAX: the reference in speed and in numbers."""

import jax
from sinusoid import Problem

from entries import Run
from entries.jax_common import outer_step, scan_run


def build(problem: Problem, formulation: str = "unrolled") -> Run:
    adam, step = outer_step(problem, formulation)
    params = jax.tree.map(jax.numpy.asarray, problem.weights)
    return scan_run(problem, step, (params, adam.init(params)))
