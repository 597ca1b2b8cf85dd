"""Probabilistic MAML (Finn, Xu & Levine 2018, arXiv 1806.02817): a Gaussian over initialisations.

In training an initialisation is drawn from q = N(μ − γ_q ∇L(μ; S ∪ Q), v_q), adapted on S, and
judged on Q; q is held near the prior p = N(μ − γ_p ∇L(μ; S), σ²) by a KL term. At adaptation, draws
come from p. Means, variances and rates are all leaves of the learner.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from kshot.core.errors import OptionError
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import Differentiated, Outcome, When, check_steps, judge
from kshot.meta.metagrads.inner_loop import Each, Path, Segment, run_inner_loop, stats_at
from kshot.meta.metagrads.joint import pooled
from kshot.meta.metagrads.routes import REVERSE
from kshot.meta.rules.gaussian import GaussianStart
from kshot.meta.task import Task


class Probabilistic(Differentiated):
    """One-sample estimate of the variational objective; see `probabilistic`."""

    steps: int = eqx.field(static=True)
    kl_weight: float = eqx.field(static=True)

    def outer_loss(
        self, learner: Learner, loss: Objective, task: Task, when: When, stats: PyTree
    ) -> Outcome:
        """Return the outcome, its loss the query loss plus the weighted divergence."""
        rule = gaussian_rule(learner)
        mean_q = shift(learner, loss, pooled(task), rule.log_rate_posterior, stats)
        mean_p = shift(learner, loss, task.support, rule.log_rate_prior, stats)
        drawn = rule.draw(mean_q, rule.log_std_posterior, when.key)
        segments = [Segment(self.steps, REVERSE)]
        path = run_inner_loop(_at(learner, drawn), loss, task.support, segments, stats)
        outcome = judge(loss, path, task.query, stats)
        total = outcome.loss + self.kl_weight * rule.divergence(mean_q, mean_p)
        return outcome._replace(loss=total)

    def adapt(
        self,
        learner: Learner,
        loss: Objective,
        data: PyTree,
        steps: int | None = None,
        stats: PyTree = None,
        each: Each | None = None,
    ) -> Path:
        """Return the path from the prior's mean: the point estimate."""
        rule = gaussian_rule(learner)
        mean = shift(learner, loss, data, rule.log_rate_prior, stats)
        return super().adapt(_at(learner, mean), loss, data, steps, stats, each)

    def sample(self, learner: Learner, loss: Objective, data: PyTree, key: PRNGKeyArray) -> PyTree:
        """Return the parameters adapted from one draw of the prior."""
        rule = gaussian_rule(learner)
        mean = shift(learner, loss, data, rule.log_rate_prior, None)
        drawn = _at(learner, rule.draw(mean, rule.log_std_prior, key))
        return super().adapt(drawn, loss, data).params


def shift(
    learner: Learner, loss: Objective, data: PyTree, log_rate: Array, stats: PyTree
) -> PyTree:
    """Return the moving leaves after one gradient step: where a Gaussian is centred."""
    moving, still = learner.split()
    inner = InnerLoss(loss, still, stats_at(stats, 0), REVERSE)
    _, grad = inner.value_and_grad(moving, data)
    return jax.tree.map(lambda p, g: p - jnp.exp(log_rate).astype(p.dtype) * g, moving, grad)


def gaussian_rule(learner: Learner) -> GaussianStart:
    """Return the learner's rule, or raise OptionError if it has no Gaussian over starts."""
    if isinstance(learner.rule, GaussianStart):
        return learner.rule
    todo = "Use rules.gaussian_start(rules.sgd(rate))."
    raise OptionError("a Gaussian over initialisations", type(learner.rule).__name__, todo)


def _at(learner: Learner, moving: PyTree) -> Learner:
    _, still = learner.split()
    return Learner(eqx.combine(moving, still), learner.rule, learner.moves)


def probabilistic(steps: int = 1, kl_weight: float = 1e-4) -> Probabilistic:
    """Return the meta-gradient of probabilistic MAML.

    Args:
        steps: inner steps after the draw.
        kl_weight: weight of KL(q ‖ p) beside the query loss, ≥ 0.
    """
    if kl_weight < 0:
        todo = "0 switches the regularisation off."
        raise OptionError("kl_weight ≥ 0", str(kl_weight), todo)
    return Probabilistic(check_steps(steps, 1), kl_weight)


def example_probabilistic() -> Probabilistic:
    """Return the instance the contract tests run."""
    return probabilistic(2)
