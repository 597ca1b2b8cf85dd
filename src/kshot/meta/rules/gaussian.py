"""A Gaussian over initialisations around any inner rule, for probabilistic MAML."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Scalar

from kshot.meta.inner_loss import InnerLoss
from kshot.meta.rules.base import InnerRule, StepInfo
from kshot.meta.rules.sgd import positive_rate, sgd


class GaussianStart(InnerRule):
    """Learned spreads of prior and posterior around any rule; see `gaussian_start`.

    Args:
        inner: the rule that adapts a drawn initialisation.
        log_std_prior: log standard deviation of the prior, one per parameter.
        log_std_posterior: the same of the variational posterior.
        log_rate_prior: log rate of the gradient step that centres the prior.
        log_rate_posterior: the same for the posterior.
        std: where the standard deviations start.
    """

    inner: InnerRule
    log_std_prior: PyTree
    log_std_posterior: PyTree
    log_rate_prior: Float[Array, ""]
    log_rate_posterior: Float[Array, ""]
    std: float = eqx.field(static=True)

    def prepare(self, params: PyTree, steps: int) -> GaussianStart:
        """Return the rule with one spread per parameter."""
        logs = jax.tree.map(lambda p: jnp.full(p.shape, jnp.log(self.std), p.dtype), params)
        return GaussianStart(
            self.inner.prepare(params, steps),
            logs,
            logs,
            self.log_rate_prior,
            self.log_rate_posterior,
            self.std,
        )

    def learned(self) -> PyTree:
        """Return True for spreads and centring rates, and what the rule inside learns."""
        mask = jax.tree.map(lambda _: True, self)
        return eqx.tree_at(lambda r: r.inner, mask, self.inner.learned())

    def init(self, params: PyTree) -> PyTree:
        """Return the inner rule's state."""
        return self.inner.init(params)

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Move by the rule inside."""
        return self.inner.step(loss, params, data, state)

    def draw(self, mean: PyTree, log_std: PyTree, key: PRNGKeyArray) -> PyTree:
        """Return one reparametrised draw around ``mean``."""
        leaves, structure = jax.tree.flatten(mean)
        keys = jax.tree.unflatten(structure, list(jax.random.split(key, len(leaves))))
        return jax.tree.map(
            lambda m, s, k: m + jnp.exp(s) * jax.random.normal(k, m.shape, m.dtype),
            mean,
            log_std,
            keys,
        )

    def divergence(self, mean_posterior: PyTree, mean_prior: PyTree) -> Scalar:
        """Return KL(posterior ‖ prior) between the two diagonal Gaussians, summed."""

        def one(mq: Array, mp: Array, sq: Array, sp: Array) -> Array:
            ratio = jnp.exp(2 * (sq - sp))
            return jnp.sum(sp - sq + 0.5 * (ratio + jnp.square(mq - mp) * jnp.exp(-2 * sp) - 1))

        parts = jax.tree.map(
            one, mean_posterior, mean_prior, self.log_std_posterior, self.log_std_prior
        )
        return jnp.sum(jnp.stack(jax.tree.leaves(parts)))


def gaussian_start(inner: InnerRule, std: float = 0.01, rate: float = 0.01) -> GaussianStart:
    """Return a rule that adapts draws from a learned Gaussian over initialisations.

    Args:
        inner: the rule that adapts a draw.
        std: where the standard deviations start, > 0.
        rate: where the centring rates start, > 0.
    """
    log_rate = jnp.log(jnp.asarray(positive_rate(rate)))
    std = positive_rate(std, "a standard deviation")
    return GaussianStart(inner, None, None, log_rate, log_rate, std)


def example_gaussian_start() -> GaussianStart:
    """Return the instance the contract tests run."""
    return gaussian_start(sgd(0.05))
