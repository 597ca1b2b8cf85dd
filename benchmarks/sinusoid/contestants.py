"""Every algorithm of kshot on Finn et al.'s sinusoids, with the settings it is measured at.

Training lengths are such that a job takes about a minute of one core; those of MAML at one and two
steps are the published one. What is tuned (the rates of fine-tuning and of training from scratch)
is tuned on validation tasks, never on the test tasks: each variant listed is tried, and the best on
validation is the one reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from kshot import meta
from kshot.meta import problems, rules
from kshot.meta.problems import body, head, squared_error

MEMBERS = 4


class Contestant(NamedTuple):
    """One row of the table.

    ``make(steps)`` returns the trained algorithm; ``variants`` the algorithms that share its state
    and differ in how they adapt, of which validation picks one per step count.
    """

    make: Callable[[int], meta.MetaAlgorithm]
    steps: int
    variants: Callable[[], dict[str, meta.MetaAlgorithm]] | None = None
    init: Callable = problems.mlp


def adam(steps: int, peak: float = 3e-3) -> optax.GradientTransformation:
    """Return clipped Adam with a cosine rate, the outer optimiser of everyone."""
    rate = optax.cosine_decay_schedule(peak, steps, alpha=0.01)
    return optax.chain(optax.clip_by_global_norm(10.0), optax.adam(rate))


def finetuning() -> dict[str, meta.MetaAlgorithm]:
    """Return the ways to fine-tune, of which validation picks the best at each step count."""
    sgd = {f"sgd {r:g}": rules.sgd(r) for r in (0.003, 0.01, 0.02, 0.05)}
    adams = {f"adam {r:g}": rules.adam(r) for r in (0.001, 0.003, 0.01, 0.03)}
    return {name: meta.finetune(squared_error, rule) for name, rule in (sgd | adams).items()}


def members(key: jax.Array) -> problems.Layers:
    """Return the stacked initial parameters of an ensemble."""
    return jax.vmap(problems.mlp)(jax.random.split(key, MEMBERS))


SGD = rules.sgd(0.01)

CONTESTANTS = {
    "maml, k=1": Contestant(
        lambda n: meta.maml(squared_error, SGD, steps=1, outer=adam(n)), 70_000
    ),
    "maml, k=2": Contestant(
        lambda n: meta.maml(squared_error, SGD, steps=2, outer=adam(n)), 70_000
    ),
    "maml, k=3": Contestant(
        lambda n: meta.maml(squared_error, SGD, steps=3, outer=adam(n)), 30_000
    ),
    "maml, k=5": Contestant(
        lambda n: meta.maml(squared_error, SGD, steps=5, outer=adam(n)), 15_000
    ),
    "fomaml, k=5": Contestant(
        lambda n: meta.fomaml(squared_error, SGD, steps=5, outer=adam(n)), 30_000
    ),
    "reptile, k=5": Contestant(
        lambda n: meta.reptile(squared_error, SGD, steps=5, outer=adam(n)), 30_000
    ),
    "anil, k=1": Contestant(
        lambda n: meta.anil(squared_error, head, SGD, steps=1, outer=adam(n)), 20_000
    ),
    "boil, k=1": Contestant(
        lambda n: meta.boil(squared_error, body, SGD, steps=1, outer=adam(n)), 20_000
    ),
    "meta_sgd, k=1": Contestant(
        lambda n: meta.meta_sgd(squared_error, 0.01, steps=1, outer=adam(n)), 40_000
    ),
    "mamlpp, k=5": Contestant(
        lambda n: meta.mamlpp(squared_error, 0.01, steps=5, total=n, outer=adam(n)), 15_000
    ),
    "imaml": Contestant(
        lambda n: meta.imaml(squared_error, SGD, steps=10, strength=1.0, cg_steps=5, outer=adam(n)),
        8_000,
    ),
    "gauss_newton, k=1": Contestant(
        lambda n: meta.gauss_newton(squared_error, steps=1, outer=adam(n)), 10_000
    ),
    "ridge": Contestant(lambda n: meta.ridge(squared_error, head, outer=adam(n)), 20_000),
    "bayes_head": Contestant(lambda n: meta.bayes_head(squared_error, head, outer=adam(n)), 20_000),
    "gaussian_process": Contestant(
        lambda n: meta.gaussian_process(problems.features, outer=adam(n)), 20_000
    ),
    "probabilistic, k=1": Contestant(
        lambda n: meta.probabilistic(squared_error, SGD, steps=1, outer=adam(n)), 15_000
    ),
    "ensemble of 4 meta_sgd": Contestant(
        lambda n: meta.ensemble(
            meta.meta_sgd(squared_error, 0.01, steps=1, outer=adam(n)), MEMBERS, diversity=0.1
        ),
        10_000,
        init=members,
    ),
    "joint + fine-tuning": Contestant(
        lambda n: meta.finetune(squared_error, SGD, outer=adam(n)), 30_000, finetuning
    ),
    "from scratch": Contestant(lambda n: meta.scratch(squared_error), 0, finetuning),
}
