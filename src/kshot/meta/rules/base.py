"""The contract of an inner rule: how φ moves on the support set."""

from __future__ import annotations

import abc
from typing import NamedTuple

import equinox as eqx
import jax
from jaxtyping import PyTree, Scalar

from kshot.meta.inner_loss import InnerLoss
from kshot.meta.loss import Extra
from kshot.meta.rules.posterior import Posterior


class StepInfo(NamedTuple):
    """What one inner step tells: the support loss *before* it, and what came with the loss."""

    loss: Scalar
    extra: Extra


class InnerRule(eqx.Module):
    """A rule is a pytree: arrays in it can be meta-learned, everything else is static.

    Rules see only the *moving* leaves of the parameters (``None`` stands for the others), and ask
    ``loss`` for gradients or residuals, so that the meta-gradient decides how these are
    differentiated.
    """

    def prepare(self, params: PyTree, steps: int) -> InnerRule:
        """Return the rule with its leaves made for these moving parameters and step count."""
        del params, steps
        return self

    def learned(self) -> PyTree:
        """Return booleans shaped like the rule: which leaves the outer loop trains by default."""
        return jax.tree.map(lambda _: False, self)

    def init(self, params: PyTree) -> PyTree:
        """Return the state before the first step (``params`` is then the anchor θ)."""
        del params
        return ()

    @abc.abstractmethod
    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Move once: return the new parameters, the new state, and what the step tells."""


class PosteriorRule(InnerRule):
    """A rule that leaves a Gaussian posterior over the moving leaves behind."""

    @abc.abstractmethod
    def posterior(self, loss: InnerLoss, params: PyTree, data: PyTree) -> Posterior:
        """Return the posterior linearised around adapted ``params``."""
