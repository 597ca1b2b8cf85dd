"""Meta-gradients through the inner loop: exact, truncated or first order."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from kshot.core.errors import OptionError
from kshot.meta.inner_loss import Route
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import Differentiated, Outcome, When, append_row, check_steps, judge
from kshot.meta.metagrads.inner_loop import Segment, run_inner_loop, stats_at
from kshot.meta.metagrads.memory import Policy, resolve
from kshot.meta.metagrads.routes import DETACHED, FORWARD_OVER_REVERSE, REVERSE
from kshot.meta.task import Task

# outer step -> one weight per inner step for the query loss after it: MAML++'s multi-step loss.
StepWeights = Callable[[Array], Float[Array, " steps"]]


class Unrolled(Differentiated):
    """Differentiates through the inner loop; made by `unrolled` and its sisters.

    Args:
        steps: k.
        route: how inner gradients are differentiated.
        exact_steps: how many of the last steps take that route; the ones before are first order.
        memory: what the backward pass keeps; see `kshot.meta.metagrads.memory`.
        step_weights: weights of the query loss after every step; ``None`` judges only φᵏ.
    """

    steps: int = eqx.field(static=True)
    route: Route = eqx.field(static=True)
    exact_steps: int = eqx.field(static=True)
    memory: Policy = eqx.field(static=True)
    step_weights: StepWeights | None = eqx.field(static=True)

    def outer_loss(
        self, learner: Learner, loss: Objective, task: Task, when: When, stats: PyTree
    ) -> Outcome:
        """Return the outcome on the query set: after the last step, or weighted over all steps."""
        segments = self.segments(learner, loss, task.support)
        if self.step_weights is None:
            path = run_inner_loop(learner, loss, task.support, segments, stats)
            return judge(loss, path, task.query, stats)

        def after_step(params: PyTree, index: Array) -> tuple:
            return loss.evaluate(params, stats_at(stats, index + 1), task.query)

        path = run_inner_loop(learner, loss, task.support, segments, stats, after_step)
        values, extra = path.each
        last = jax.tree.map(lambda rows: rows[-1], extra)
        total = jnp.dot(self.step_weights(when.step).astype(values.dtype), values)
        return Outcome(total, path.losses, last.aux, append_row(path.stats, last.stats))

    def segments(self, learner: Learner, loss: Objective, support: PyTree) -> list[Segment]:
        """Return the inner loop's segments: the truncated steps, then the exact ones."""
        early = self.steps - self.exact_steps
        how = resolve(self.memory, learner, loss, support, self.exact_steps, self.route)
        exact = Segment(self.exact_steps, self.route, how.memory, how.unroll)
        return [Segment(early, DETACHED), exact] if early else [exact]


def unrolled(
    steps: int = 1,
    memory: Policy = "auto",
    exact_steps: int | None = None,
    step_weights: StepWeights | None = None,
) -> Unrolled:
    """Return the exact meta-gradient by reverse differentiation through the inner loop.

    Args:
        steps: the number of inner steps k ≥ 0 (0: no adaptation, joint training).
        memory: ``"none"``, ``"per_step"``, ``"nested"`` or ``"auto"``.
        exact_steps: truncation: only this many last steps are exact, the ones before first order.
        step_weights: outer step → k weights of the query losses after each inner step.
    """
    return _make(steps, REVERSE, memory, exact_steps, step_weights)


def mixed_mode(
    steps: int = 1,
    memory: Policy = "auto",
    exact_steps: int | None = None,
    step_weights: StepWeights | None = None,
) -> Unrolled:
    """Return the exact meta-gradient with forward-over-reverse Hessian-vector products.

    The same value as `unrolled`, cheaper at k > 1. Arguments as there.
    """
    return _make(steps, FORWARD_OVER_REVERSE, memory, exact_steps, step_weights)


def exact(
    steps: int = 1, memory: Policy = "auto", step_weights: StepWeights | None = None
) -> Unrolled:
    """Return the exact meta-gradient by the cheaper of the two routes.

    At one step plain reverse wins: the sum over tasks happens inside one product. From two on,
    forward over reverse does.
    """
    make = unrolled if steps <= 1 else mixed_mode
    return make(steps, memory, step_weights=step_weights)


def first_order(steps: int = 1, step_weights: StepWeights | None = None) -> Unrolled:
    """Return the first-order meta-gradient (FOMAML): inner gradients count as constants.

    Args:
        steps: the number of inner steps k.
        step_weights: as in `unrolled`.
    """
    return _make(steps, DETACHED, "none", None, step_weights)


def _make(
    steps: int,
    route: Route,
    memory: Policy,
    exact_steps: int | None,
    step_weights: StepWeights | None,
) -> Unrolled:
    exact = check_steps(steps) if exact_steps is None else exact_steps
    if not 0 <= exact <= steps:
        todo = "Truncation keeps the last exact_steps of the k inner steps."
        raise OptionError(f"exact_steps between 0 and {steps}", f"{exact}", todo)
    return Unrolled(steps, route, exact, memory, step_weights)


def example_unrolled() -> Unrolled:
    """Return the instance the contract tests run."""
    return unrolled(3)


def example_mixed_mode() -> Unrolled:
    """Return the instance the contract tests run."""
    return mixed_mode(3)


def example_first_order() -> Unrolled:
    """Return the instance the contract tests run."""
    return first_order(3)
