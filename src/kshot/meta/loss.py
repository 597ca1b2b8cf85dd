"""Losses: what the engine asks of a model, and nothing more.

A loss is any function ``(params, data) -> scalar`` or ``-> (scalar, aux)``. Two richer kinds open
more doors: `SumOfSquares` (its residuals feed Gauss-Newton and ridge) and `Stateful`
(batch-norm statistics that travel with the inner steps).
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from kshot.core import trees
from kshot.core.errors import LossError


class Extra(NamedTuple):
    """What a loss returns beside its value: auxiliary values, and updated model statistics."""

    aux: PyTree = None
    stats: PyTree = None


class Objective(eqx.Module):
    """The one shape all losses are brought to: ``(params, stats, data) -> (value, Extra)``."""

    @abc.abstractmethod
    def evaluate(self, params: PyTree, stats: PyTree, data: PyTree) -> tuple[Scalar, Extra]:
        """Return the value and what comes with it."""

    def __call__(self, params: PyTree, data: PyTree, stats: PyTree = None) -> Scalar:
        """Return the value alone."""
        return self.evaluate(params, stats, data)[0]

    def initial_stats(self) -> PyTree:
        """Return the statistics a model starts from; ``None`` for a model without state."""
        return None


class Plain(Objective):
    """A function ``(params, data) -> scalar`` or ``-> (scalar, aux)``."""

    fn: Callable = eqx.field(static=True)

    def evaluate(self, params: PyTree, stats: PyTree, data: PyTree) -> tuple[Any, Extra]:
        """Return the value, and the auxiliary values where the function returns a pair."""
        del stats
        out: Any = self.fn(params, data)
        if isinstance(out, tuple) and len(out) == 2:
            return out[0], Extra(aux=out[1])
        return out, Extra()


class SumOfSquares(Objective):
    """The squared norm of a residual vector, as mean (default) or sum over its entries.

    Args:
        residuals: ``(params, data) -> array`` (or a pytree of arrays) of residuals, prediction
            minus label; whatever its shape, it is read as one vector.
        reduce: ``"mean"`` or ``"sum"`` over the entries.
    """

    residuals: Callable = eqx.field(static=True)
    reduce: Literal["mean", "sum"] = eqx.field(static=True, default="mean")

    def vector(self, params: PyTree, data: PyTree) -> Float[Array, " n"]:
        """Return the residuals as one vector."""
        leaves = jax.tree.leaves(self.residuals(params, data))
        return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])

    def evaluate(self, params: PyTree, stats: PyTree, data: PyTree) -> tuple[Scalar, Extra]:
        """Return the reduced squared residuals."""
        del stats
        squares = jnp.square(self.vector(params, data))
        return (jnp.mean if self.reduce == "mean" else jnp.sum)(squares), Extra()


class Stateful(Objective):
    """A loss of a model with state, such as the running statistics of batch normalisation.

    Each inner step has statistics of its own (MAML++): they are averaged over the tasks of a
    meta-batch, kept in the algorithm's state, and used at the same step of the next adaptation.

    Args:
        fn: ``(params, stats, data) -> (scalar, new_stats)``.
        stats: the statistics to start from, a pytree of arrays.
    """

    fn: Callable = eqx.field(static=True)
    stats: PyTree

    def evaluate(self, params: PyTree, stats: PyTree, data: PyTree) -> tuple[Scalar, Extra]:
        """Return the value and the statistics after this evaluation."""
        value, new = self.fn(params, self.stats if stats is None else stats, data)
        return value, Extra(stats=trees.stop_gradient(new))

    def initial_stats(self) -> PyTree:
        """Return the statistics the model starts from."""
        return trees.strong(self.stats)


def as_objective(loss: Callable | Objective) -> Objective:
    """Bring a loss to the engine's one shape.

    Raises:
        LossError: not callable, or a callable that cannot be hashed (it holds arrays).
    """
    if isinstance(loss, Objective):
        return loss
    if not callable(loss):
        todo = "Give a function (params, data) -> scalar, or a SumOfSquares or Stateful loss."
        raise LossError("a callable loss", type(loss).__name__, todo)
    try:
        hash(loss)
    except TypeError as error:
        todo = "Pass arrays through params or data, not inside the loss."
        raise LossError("a hashable loss", repr(type(loss).__name__), todo) from error
    return Plain(loss)
