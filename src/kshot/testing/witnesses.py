"""Slopes of a meta-gradient along a direction, computed in ways that share no code with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree, Scalar

from kshot.core import trees
from kshot.core.errors import ContractError
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import MetaGrad, Outcome
from kshot.meta.task import Task

# what a meta-gradient is once the loss is filled in: (learner, task) → (outcome, gradient).
Graded = Callable[[Learner, Task], tuple[Outcome, Learner]]
# (graded, learner, task, direction) → what ⟨gradient, direction⟩ must be.
Witness = Callable[[Graded, Learner, Task, Learner], float]

# central differences of fourth order: the error is of order h⁴, and rounding of order 1e-16 / h.
STEP = 1e-4
ROUNDING = 1e-10


def expect_slopes(
    graded: Graded, learner: Learner, task: Task, witness: Witness, tolerance: float = 1e-6
) -> None:
    """Raise unless the gradient has the slope a witness tells, along each learned leaf.

    Args:
        graded: the meta-gradient, its loss filled in.
        learner: where to take the gradient.
        task: on which task.
        witness: another way to the slope.
        tolerance: allowed error, relative to ‖gradient‖ ‖direction‖ on the leaf.

    Raises:
        ContractError: the slopes differ; the leaf is named with both.
    """
    gradient = graded(learner, task)[1]
    for name, along in leaf_directions(learner):
        got, want = slope(gradient, along), witness(graded, learner, task, along)
        parts = zip(jax.tree.leaves(gradient), jax.tree.leaves(along), strict=True)
        scale = max(float(jnp.linalg.norm(g) * jnp.linalg.norm(d)) for g, d in parts)
        if not abs(got - want) <= tolerance * max(scale, abs(want)) + ROUNDING:
            todo = f"{getattr(witness, '__name__', witness)} disagrees with the gradient."
            raise ContractError(f"slope {want:.12g} along {name}", f"{got:.12g}", todo)


def leaf_directions(learner: Learner) -> Iterator[tuple[str, Learner]]:
    """Yield, for every learned leaf, its name and a random direction in that leaf alone."""
    learned = jax.tree.map(lambda _: True, learner.params), learner.rule.learned()
    structure = jax.tree.structure(learner)
    rng = np.random.default_rng(0)
    zeros = [jnp.zeros_like(leaf) for leaf in jax.tree.leaves(learner)]
    chosen = zip(trees.named_leaves(learner), jax.tree.leaves(learned), strict=True)
    for index, ((name, leaf), is_learned) in enumerate(chosen):
        if not is_learned:
            continue
        along = list(zeros)
        along[index] = jnp.asarray(rng.normal(size=jnp.shape(leaf)), jnp.result_type(leaf))
        yield name, jax.tree.unflatten(structure, along)


def slope(gradient: PyTree, direction: PyTree) -> float:
    """Return ⟨gradient, direction⟩."""
    return float(trees.dot(gradient, direction))


def difference_quotient(value: Callable[[float], float | Scalar], step: float = STEP) -> float:
    """Return the derivative of ``value`` at zero by central differences of fourth order."""
    near = float(value(step)) - float(value(-step))
    far = float(value(2 * step)) - float(value(-2 * step))
    return (8 * near - far) / (12 * step)


def difference_slope(graded: Graded, learner: Learner, task: Task, direction: Learner) -> float:
    """Return the slope of the loss that the meta-gradient itself tells, by central differences."""

    def value(size: float) -> Scalar:
        moved = trees.add(learner, trees.scale(size, direction))
        return graded(moved, task)[0].loss

    return difference_quotient(value)


def first_order_slope(metagrad: MetaGrad, loss: Objective) -> Witness:
    """Return the witness ⟨∇L_Q(φᵏ), direction⟩: inner gradients count as constants.

    It says nothing of the rule's own leaves and tells what the gradient does there.
    """

    @jax.jit
    def expected(learner: Learner, task: Task) -> PyTree:
        path = metagrad.adapt(learner, loss, task.support)
        return jax.grad(lambda params: loss(params, task.query))(path.params)

    def witness(graded: Graded, learner: Learner, task: Task, direction: Learner) -> float:
        rest = slope(graded(learner, task)[1].rule, direction.rule)
        return slope(expected(learner, task), direction.params) + rest

    return witness


def reptile_slope(metagrad: MetaGrad, loss: Objective) -> Witness:
    """Return the witness ⟨θ − φᵏ, direction⟩; it is zero on the rule's own leaves."""

    @jax.jit
    def expected(learner: Learner, task: Task) -> PyTree:
        return trees.subtract(learner.params, metagrad.adapt(learner, loss, task.support).params)

    def witness(graded: Graded, learner: Learner, task: Task, direction: Learner) -> float:
        del graded
        return slope(expected(learner, task), direction.params)

    return witness
