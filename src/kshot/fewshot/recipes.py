"""The engine's algorithms on energies and forces, by name, each with what it needs to be told."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import optax
from jaxtyping import PyTree

from kshot import meta
from kshot.core import trees
from kshot.fewshot.algorithms import Algorithm, Optimiser
from kshot.fewshot.priors import HEAD
from kshot.potentials import EnergyForces

CG_STEPS = 5
# precisions of priors, relative to a residual's noise; a residual is a share of a mean over some
# hundred force components, and its noise as small. 1 gains next to nothing on validation families:
# `python benchmarks/fewshot/algorithms.py --precisions`.
PRECISION = 1e-3  # of all parameters; with less they leave what is linear, and CG takes longer
HEAD_PRECISION = 1e-5  # of heads, which are linear
NOISE = 0.01  # of one residual: energies and forces of a start are known to about its square root


class Options(NamedTuple):
    """What an algorithm is told; each takes of it what it has a use for.

    Args:
        steps: inner steps.
        rate: of the inner optimiser.
        optimiser: the inner one, where the algorithm does not bring its own.
        total: outer steps that are planned.
        outer_rate: peak of the outer Adam's rate; a cosine follows.
        clip: largest norm of an outer gradient.
    """

    steps: int = 5
    rate: float = 1e-3
    optimiser: Optimiser = "adam"
    total: int = 200
    outer_rate: float = 1e-3
    clip: float = 10.0

    @property
    def rule(self) -> meta.rules.InnerRule:
        """The inner optimiser as the engine's rule."""
        return {"adam": meta.rules.adam, "sgd": meta.rules.sgd}[self.optimiser](self.rate)

    @property
    def outer(self) -> optax.GradientTransformation:
        """The outer optimiser."""
        rate = optax.cosine_decay_schedule(self.outer_rate, max(self.total, 1), 0.01)
        return optax.chain(optax.clip_by_global_norm(self.clip), optax.adam(rate))


UNTRAINED: Algorithm = "finetune"
"""Joint training is all that its start has seen."""
Recipe = Callable[[EnergyForces, Options], meta.Bilevel]


def readout(params: PyTree) -> PyTree:
    """Return the leaves of all readouts: what ANIL adapts."""
    return [leaf for name, leaf in trees.named_leaves(params) if HEAD in name]


def body(params: PyTree) -> PyTree:
    """Return all other leaves: what BOIL adapts."""
    return [leaf for name, leaf in trees.named_leaves(params) if HEAD not in name]


def last_layers(params: PyTree) -> PyTree:
    """Return the last layer of each readout, in which energies and forces are linear."""
    last: dict[str, tuple[int, list[jax.Array]]] = {}
    for name, leaf in trees.named_leaves(params):
        if HEAD not in name or (match := re.search(r"Linear_(\d+)", name)) is None:
            continue
        layer, block = int(match[1]), name[: match.start()]
        deepest, leaves = last.get(block, (-1, []))
        if layer >= deepest:
            last[block] = (layer, [*leaves, leaf] if layer == deepest else [leaf])
    return [leaf for _, leaves in last.values() for leaf in leaves]


def squares(loss: EnergyForces) -> meta.SumOfSquares:
    """Return the loss with its residuals open to view."""
    return meta.SumOfSquares(loss.residuals, reduce="sum")


def _gauss_newton(loss: EnergyForces, o: Options) -> meta.Bilevel:
    rule = meta.rules.gauss_newton(PRECISION, damping=PRECISION, solver="cg")
    return meta.bilevel(squares(loss), rule, meta.metagrads.first_order(2), outer=o.outer)


def _bayes_head(loss: EnergyForces, o: Options) -> meta.Bilevel:
    return meta.bayes_head(squares(loss), last_layers, HEAD_PRECISION, NOISE, outer=o.outer)


RECIPES: Mapping[Algorithm, Recipe] = {
    "maml": lambda loss, o: meta.maml(loss, o.rule, o.steps, outer=o.outer),
    "fomaml": lambda loss, o: meta.fomaml(loss, o.rule, o.steps, outer=o.outer),
    "reptile": lambda loss, o: meta.reptile(loss, o.rule, o.steps, outer=o.outer),
    "anil": lambda loss, o: meta.anil(loss, readout, o.rule, o.steps, outer=o.outer),
    "boil": lambda loss, o: meta.boil(loss, body, o.rule, o.steps, outer=o.outer),
    "meta_sgd": lambda loss, o: meta.meta_sgd(loss, o.rate, o.steps, outer=o.outer),
    "mamlpp": lambda loss, o: meta.mamlpp(loss, o.rate, o.steps, max(o.total, 1), outer=o.outer),
    "imaml": lambda loss, o: meta.imaml(loss, o.rule, o.steps, cg_steps=CG_STEPS, outer=o.outer),
    "probabilistic": lambda loss, o: meta.probabilistic(loss, o.rule, o.steps, outer=o.outer),
    "ridge": lambda loss, o: meta.ridge(squares(loss), last_layers, HEAD_PRECISION, outer=o.outer),
    "bayes_head": _bayes_head,
    "gauss_newton": _gauss_newton,
    "finetune": lambda loss, o: meta.fomaml(loss, o.rule, o.steps, outer=o.outer),
}
"""By the engine's names. ``finetune`` is not trained: joint training is all it has seen."""

CLOSED: Mapping[Algorithm, int] = {"ridge": 1, "bayes_head": 1, "gauss_newton": 2}
"""Steps of those that solve for their parameters; all others may take more than in training."""
