"""The ways to adapt a start, each one scale of one prior away from the next.

Every closed-form way is `kshot.fewshot.least_squares` with other parameters held still: none of
them is "zero-shot + shift", the readouts is a "ridge head", all of them is "Gauss-Newton".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from kshot.core import trees
from kshot.core.errors import OptionError, UnknownNameError
from kshot.fewshot.least_squares import Prior
from kshot.potentials.model import Model

LEARNED = "gauss_newton"
INNER = "inner"
"""The rule that a start was meta-trained for; see `kshot.fewshot.inner`."""
FINETUNE = "finetune"
"""Gradient steps on all parameters; see `kshot.fewshot.finetune`."""
HEAD = "readout"  # in the name of every leaf of a readout, in all of mlip's networks


class Method(NamedTuple):
    """One way to adapt.

    Args:
        name: of it.
        baseline: whether it is one of the plain ways that meta-learning has to beat.
        factors: scales of the prior's variances to choose from, inside the K labels; both ends are
            guards, far from what is chosen.
        steps: of Gauss-Newton, at most; more than one only where the model is not linear.
        variance: of each leaf's parameters, for a model.
    """

    name: str
    baseline: bool
    factors: tuple[float, ...]
    steps: int
    variance: Callable[[Model], Mapping[str, float]]


def leaf_variances(model: Model, of_leaf: Mapping[str, float]) -> Float[np.ndarray, " params"]:
    """Return the variance of each parameter, flat, from those of leaves; others are zero."""
    leaves, structure = jax.tree.flatten(model.params)
    names = [name for name, _ in trees.named_leaves(model.params)]
    full = [
        np.full(np.shape(leaf), of_leaf.get(name, 0.0), np.float32)
        for name, leaf in zip(names, leaves, strict=True)
    ]
    return np.asarray(ravel_pytree(jax.tree.unflatten(structure, full))[0], np.float64)


def learned_prior(model: Model) -> Mapping[str, float]:
    """Return the variance of each leaf that meta-training found; one for all if it found none."""
    learned = model.learned.get(LEARNED)
    if learned is None:
        return {name: 1.0 for name, _ in trees.named_leaves(model.params)}
    return {name: float(np.exp(value)) for name, value in learned["log_variance"].items()}


def prior_of(method: Method, model: Model) -> Prior:
    """Return the prior of a method for a model."""
    learned = model.learned.get(LEARNED, {})
    noises = {name: float(np.exp(value)) for name, value in learned.get("log_noise", {}).items()}
    return Prior(leaf_variances(model, method.variance(model)), **noises)


def moved(params: PyTree, move: Float[np.ndarray, " params"]) -> PyTree:
    """Return parameters moved by a flat step; in NumPy, as JAX takes a call for every leaf."""
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, params))
    parts = np.split(move, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(
        structure,
        [
            leaf + part.reshape(leaf.shape).astype(leaf.dtype)
            for leaf, part in zip(leaves, parts, strict=True)
        ],
    )


def _nothing(model: Model) -> Mapping[str, float]:
    del model
    return {}


def _head(model: Model) -> Mapping[str, float]:
    return {name: 1.0 for name, _ in trees.named_leaves(model.params) if HEAD in name}


def _uniform(model: Model) -> Mapping[str, float]:
    return {name: 1.0 for name, _ in trees.named_leaves(model.params)}


def stepwise(name: str, steps: int, *, baseline: bool) -> Method:
    """Return a method that has no prior: it moves by so many steps of its own."""
    return Method(name, baseline, factors=(1.0,), steps=steps, variance=_nothing)


STEPS = 40  # a guard: they end when they stop helping. All use the Jacobian of the start, so that
# each costs predictions only
SCALES = tuple(10.0**power for power in range(-8, 5))  # guards at both ends; the search is local

METHODS = {
    "shift": Method("shift", baseline=True, factors=(1.0,), steps=1, variance=_nothing),
    "head": Method("head", baseline=True, factors=SCALES, steps=STEPS, variance=_head),
    "uniform": Method("uniform", baseline=True, factors=SCALES, steps=STEPS, variance=_uniform),
    "meta": Method("meta", baseline=False, factors=SCALES, steps=STEPS, variance=learned_prior),
}
"""By name: ``shift`` (zero-shot + shift), ``head`` (ridge on the readouts), ``uniform``
(Gauss-Newton, one variance for all parameters), ``meta`` (with the meta-learned variances)."""

USUAL = (*METHODS, INNER)
"""What takes seconds; a start without a rule of its own has no ``inner``."""

EVERY = (*USUAL, FINETUNE)
"""All there is to choose among; ``finetune`` takes minutes."""


def check_methods(names: Sequence[str]) -> None:
    """Raise unless there are such methods, and one of them is in closed form.

    Raises:
        UnknownNameError: a name that is none of `EVERY`.
        OptionError: none in closed form; the learning curve needs one.
    """
    for name in names:
        if name not in EVERY:
            raise UnknownNameError(f"no method is called {name!r}. Known: {', '.join(EVERY)}.")
    if not set(names) & set(METHODS):
        todo = "Add one: shift costs nothing."
        raise OptionError(f"one of {', '.join(METHODS)}", ", ".join(names) or "none", todo)
