"""The plainest promise: what is trained gets better on tasks it has not seen."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from kshot.core.errors import ContractError
from kshot.meta.algorithms.base import Info, MetaAlgorithm, State
from kshot.meta.problems import sinusoids
from kshot.meta.task import take

TASKS, SHOTS, OUTER_STEPS = 4, 10, 60


def train(algorithm: MetaAlgorithm, state: State, steps: int = OUTER_STEPS) -> tuple[State, Info]:
    """Train on fresh sinusoids, and raise unless all steps together were traced once.

    Args:
        algorithm: what to train.
        state: where to start.
        steps: outer steps, ≥ 1.

    Raises:
        ContractError: a step was traced again.
    """
    stream = sinusoids(jax.random.key(3), TASKS * steps, SHOTS, SHOTS)
    step, traces = counted(algorithm.step)
    state, info = step(state, take(stream, slice(TASKS)))
    for i in range(1, steps):
        state, info = step(state, take(stream, slice(TASKS * i, TASKS * (i + 1))))
    if traces() != 1:
        todo = "Its state changes type, or it depends on something that is not an array."
        raise ContractError(f"one trace in {steps} outer steps", f"{traces()} traces", todo)
    return state, info


def counted(fn: Callable) -> tuple[Callable, Callable[[], int]]:
    """Return the jitted function, and a function that tells how often it was traced."""
    traces = 0

    def wrapped(*args: PyTree) -> PyTree:
        nonlocal traces
        traces += 1
        return fn(*args)

    return eqx.filter_jit(wrapped), lambda: traces


def unseen_losses(algorithm: MetaAlgorithm) -> Callable[[State], Float[Array, " losses"]]:
    """Return state → query losses on unseen sinusoids, before adaptation and after each step."""
    tasks = sinusoids(jax.random.key(4), 64, SHOTS, SHOTS)

    def mean_losses(state: State) -> Array:
        return jax.vmap(lambda task: algorithm.losses(state, task))(tasks).mean(0)

    return eqx.filter_jit(mean_losses)


def expect_improvement(before: float, after: float) -> None:
    """Raise ContractError unless a query loss fell."""
    if not after < before:  # "not <" also catches NaN
        todo = "Its meta-gradient does not point downhill, or its steps diverge."
        raise ContractError(f"a query loss below {before:.6g} after training", f"{after:.6g}", todo)
