"""Implicit meta-gradient (iMAML): through the optimum of the proximal inner problem, not its path.

At φ* with ∇L_S(φ*) + λ(φ* − θ) = 0, the implicit function theorem gives, for any cotangent v of φ*,
u = (H_S(φ*) + λ)⁻¹ v  and then  dθ = λ u,  dλ = −(φ* − θ)ᵀu,  and −uᵀ ∂(∇L_S)/∂c for whatever else
the loss depends on. Conjugate gradients solve for u with Hessian-vector products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree, Scalar

from kshot.core import trees
from kshot.core.errors import OptionError
from kshot.meta.inner_loss import Context, Pull, evaluate
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import MetaGrad, Outcome, When, append_row, check_steps
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.rules.proximal import Proximal
from kshot.meta.task import Task

WarmStart = Literal["first_order", "zero"]


class Implicit(MetaGrad):
    """Differentiates through the inner optimum; see `implicit`."""

    steps: int = eqx.field(static=True)
    cg_steps: int = eqx.field(static=True)
    damping: float = eqx.field(static=True)
    warm_start: WarmStart = eqx.field(static=True)

    def __call__(
        self,
        learner: Learner,
        loss: Objective,
        task: Task,
        when: When | None = None,
        stats: PyTree = None,
    ) -> tuple[Outcome, Learner]:
        """Return the outcome and the gradient of the query loss at the inner optimum."""
        del when
        rule = proximal_rule(learner)
        moving, still = learner.split()
        path = self.adapt(learner, loss, task.support, stats=stats)
        optimum, _ = Learner(path.params, rule, learner.moves).split()
        row = stats_at(stats, path.steps)

        def query_loss(optimum: PyTree, still: PyTree) -> tuple[Scalar, tuple]:
            return loss.evaluate(eqx.combine(optimum, still), row, task.query)

        def slope(at: PyTree, moving: PyTree, still: PyTree, strength: Array) -> PyTree:
            context = Context(loss, still, row, task.support, Pull(moving, strength))
            return jax.grad(lambda at: evaluate(at, context)[0])(at)

        judged = jax.value_and_grad(query_loss, (0, 1), has_aux=True)(optimum, still)
        (value, extra), (bar, still_bar) = judged
        hessian = jax.linearize(lambda at: slope(at, moving, still, rule.strength), optimum)[1]
        u = self.solve(hessian, bar, rule.strength)
        _, pull = jax.vjp(lambda *c: slope(optimum, *c), moving, still, rule.strength)
        moving_bar, through, strength_bar = pull(jax.tree.map(jnp.negative, u))
        params_bar = eqx.combine(moving_bar, trees.add(still_bar, through))
        rule_bar = eqx.tree_at(lambda r: r.strength, trees.zeros_like(rule), strength_bar)
        stats = append_row(path.stats, extra.stats)
        outcome = Outcome(value, path.losses, extra.aux, stats)
        return outcome, Learner(params_bar, rule_bar, learner.moves)

    def solve(self, hessian: Callable[[PyTree], PyTree], bar: PyTree, strength: Array) -> PyTree:
        """Return u = (H + λ + damping)⁻¹ v by at most ``cg_steps`` conjugate-gradient steps."""

        def damped(v: PyTree) -> PyTree:
            return trees.add(hessian(v), trees.scale(self.damping, v))

        # u = v/λ is the first-order answer (no curvature): where λ dominates, CG starts at the end.
        guess = trees.scale(1 / strength, bar) if self.warm_start == "first_order" else None
        tight = 1e-6 if strength.dtype == jnp.float32 else 1e-13
        return jax.scipy.sparse.linalg.cg(damped, bar, x0=guess, tol=tight, maxiter=self.cg_steps)[
            0
        ]


def proximal_rule(learner: Learner) -> Proximal:
    """Return the learner's rule, or raise OptionError if it is not proximal."""
    if isinstance(learner.rule, Proximal):
        return learner.rule
    raise OptionError(
        "a proximal inner rule for the implicit meta-gradient",
        type(learner.rule).__name__,
        "Use rules.proximal(strength, rules.sgd(rate)).",
    )


def implicit(
    steps: int = 16,
    cg_steps: int = 20,
    damping: float = 0.0,
    warm_start: WarmStart = "first_order",
) -> Implicit:
    """Return the implicit meta-gradient; its memory does not depend on the number of inner steps.

    Args:
        steps: inner steps towards the proximal optimum; the gradient is right only near it.
        cg_steps: at most this many conjugate-gradient steps.
        damping: added to the Hessian where it is not positive definite, ≥ 0.
        warm_start: conjugate gradients start from ``"first_order"`` (v/λ) or from ``"zero"``.
    """
    return Implicit(check_steps(steps, 1), check_steps(cg_steps, 1), damping, warm_start)


def example_implicit() -> Implicit:
    """Return the instance the contract tests run."""
    return implicit(200)
