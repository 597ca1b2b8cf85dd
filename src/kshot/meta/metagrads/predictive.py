"""Meta-gradient of the predictive likelihood: closed-form Bayesian inner step, calibrated outside.

The rule leaves a Gaussian posterior; the query residuals are judged under its predictive density,
so that initialisation, prior precision and noise are trained for honest variances (ALPaCA, Harrison
et al. 2018, arXiv 1807.08912, when the rule is ridge on the last layer).
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PyTree

from kshot.core.errors import OptionError
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import Differentiated, Outcome, When, check_steps
from kshot.meta.metagrads.routes import REVERSE
from kshot.meta.rules.base import PosteriorRule
from kshot.meta.task import Task


class Predictive(Differentiated):
    """Reverse differentiation of the predictive negative log-likelihood; see `predictive`."""

    steps: int = eqx.field(static=True)

    def outer_loss(
        self, learner: Learner, loss: Objective, task: Task, when: When, stats: PyTree
    ) -> Outcome:
        """Return the outcome, its loss in nats per query residual."""
        del when
        rule = posterior_rule(learner)
        path = self.adapt(learner, loss, task.support, stats=stats)
        moving, still = Learner(path.params, rule, learner.moves).split()
        inner = InnerLoss(loss, still, None, REVERSE)
        posterior = rule.posterior(inner, moving, task.support)
        residuals = inner.residuals(task.query)
        variance = posterior.variance(residuals) + posterior.noise
        value = jnp.mean(0.5 * (jnp.square(residuals(moving)) / variance + jnp.log(variance)))
        return Outcome(value + 0.5 * jnp.log(2 * jnp.pi), path.losses)


def posterior_rule(learner: Learner) -> PosteriorRule:
    """Return the learner's rule, or raise OptionError if it leaves no posterior."""
    if isinstance(learner.rule, PosteriorRule):
        return learner.rule
    todo = "Use rules.ridge, rules.gauss_newton or rules.levenberg_marquardt."
    raise OptionError("a rule that leaves a posterior", type(learner.rule).__name__, todo)


def predictive(steps: int = 1) -> Predictive:
    """Return the meta-gradient of the predictive likelihood.

    Args:
        steps: inner steps; one is exact for ridge.
    """
    return Predictive(check_steps(steps, 1))


def example_predictive() -> Predictive:
    """Return the instance the contract tests run."""
    return predictive(1)
