"""The loss as an inner rule sees it: a function of the moving leaves only.

How the derivative of the inner gradient is taken is a property of the *meta*-gradient, not of the
rule. So a rule asks this object for gradients, and the meta-gradient hands it in with a ``route``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree, Scalar

from kshot.core import trees
from kshot.core.errors import LossError
from kshot.meta.loss import Extra, Objective, SumOfSquares


class Pull(NamedTuple):
    """A quadratic pull (strength / 2) |φ − anchor|² added to the loss."""

    anchor: PyTree
    strength: Float[Array, ""]


class Context(NamedTuple):
    """All that the loss depends on beside the moving leaves.

    It is handed to a route as one argument, never closed over: a custom derivative rule would
    silently drop what flows through a closure.
    """

    objective: Objective
    still: PyTree
    stats: PyTree
    data: PyTree
    pull: Pull | None


def evaluate(moving: PyTree, context: Context) -> tuple[Scalar, Extra]:
    """Return the inner loss and what comes with it."""
    params = eqx.combine(moving, context.still)
    value, extra = context.objective.evaluate(params, context.stats, context.data)
    if context.pull is not None:
        away = trees.subtract(moving, context.pull.anchor)
        value = value + 0.5 * context.pull.strength * trees.dot(away, away)
    # auxiliary values are for looking at: no derivative ever flows through them.
    return value, trees.stop_gradient(extra)


@runtime_checkable
class Route(Protocol):
    """A way to differentiate the inner gradient: see `kshot.meta.metagrads.routes`."""

    def enter(self, tree: PyTree) -> PyTree:
        """Return the tree as inner derivatives may depend on it."""
        ...

    def value_and_grad(
        self, fn: Callable, moving: PyTree, context: Context
    ) -> tuple[tuple[Scalar, Extra], PyTree]:
        """Return ``fn(moving, context)`` and its gradient in ``moving``."""
        ...


class Residuals(NamedTuple):
    """The residual vector and its linear map at one point: ``r(φ + δ) ≈ value + push(δ)``."""

    value: Float[Array, " n"]
    push: Callable[[PyTree], Float[Array, " n"]]


class InnerLoss(eqx.Module):
    """A loss with everything but the moving leaves filled in."""

    objective: Objective
    still: PyTree
    stats: PyTree
    route: Route = eqx.field(static=True)
    pull: Pull | None = None

    def __call__(self, moving: PyTree, data: PyTree) -> Scalar:
        """Return the value alone."""
        return evaluate(moving, self._context(data))[0]

    def value_and_grad(self, moving: PyTree, data: PyTree) -> tuple[tuple[Scalar, Extra], PyTree]:
        """Return ``((value, extra), gradient)``, differentiable as the route says."""
        return self.route.value_and_grad(evaluate, moving, self._context(data))

    def pulled(self, anchor: PyTree, strength: Float[Array, ""]) -> InnerLoss:
        """Return this loss with a quadratic pull towards ``anchor`` added."""
        pull = Pull(anchor, strength)
        return InnerLoss(self.objective, self.still, self.stats, self.route, pull)

    def residuals(self, data: PyTree) -> Callable[[PyTree], Float[Array, " n"]]:
        """Return the residual vector as a function of the moving leaves.

        Raises:
            LossError: the loss is not a `SumOfSquares`, or it is pulled.
        """
        objective = self.objective
        if not isinstance(objective, SumOfSquares):
            raise LossError(
                "a SumOfSquares loss for this inner rule",
                type(objective).__name__,
                "Give meta.SumOfSquares(residuals) with residuals(params, data) -> array.",
            )
        if self.pull is not None:
            raise LossError(
                "a gradient rule inside rules.proximal",
                "a least-squares rule, which would drop the pull",
                "Use its own prior instead: precision=.",
            )
        still, data = self.route.enter((self.still, data))
        return lambda m: objective.vector(eqx.combine(m, still), data)

    def linearise(self, moving: PyTree, data: PyTree) -> Residuals:
        """Return the residuals at ``moving`` and their Jacobian as a linear map."""
        fn = self.residuals(data)
        return Residuals(*jax.linearize(fn, self.route.enter(moving)))

    def _context(self, data: PyTree) -> Context:
        return Context(self.objective, self.still, self.stats, data, self.pull)
