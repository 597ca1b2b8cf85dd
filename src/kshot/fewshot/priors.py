"""How far each parameter of a start may move, before any label is read: learned, or by a rule.

Labels are never looked at here; derivatives on the labelled frames are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from kshot.core import trees
from kshot.fewshot.jacobian import Rows, squares
from kshot.fewshot.least_squares import Prior
from kshot.potentials.model import Model

LEARNED = "gauss_newton"
HEAD = "readout"  # in the name of every leaf of a readout, in all of mlip's networks and SO3LR
UNSEEN = 1e-8  # of the mean squared derivative: whatever is seen less may move no farther


def leaf_variances(model: Model, of_leaf: Mapping[str, float]) -> Float[np.ndarray, " params"]:
    """Return the variance of each parameter, flat, from those of leaves; others are zero."""
    leaves, structure = jax.tree.flatten(model.params)
    full = [
        np.full(np.shape(leaf), of_leaf.get(name, 0.0), np.float32)
        for name, leaf in zip(_names(model), leaves, strict=True)
    ]
    return np.asarray(ravel_pytree(jax.tree.unflatten(structure, full))[0], np.float64)


def noises_of(model: Model) -> dict[str, float]:
    """Return the noises of labels that meta-training found, as options of `Prior`."""
    learned = model.learned.get(LEARNED, {})
    return {name: float(np.exp(value)) for name, value in learned.get("log_noise", {}).items()}


def has_learned(model: Model) -> bool:
    """Return whether meta-training found variances of leaves."""
    return LEARNED in model.learned


def nothing(model: Model, rows: Rows) -> Float[np.ndarray, " params"]:
    """Return zeros: no parameter moves."""
    del rows
    return leaf_variances(model, {})


def head(model: Model, rows: Rows) -> Float[np.ndarray, " params"]:
    """Return one for the readouts and zero for all else."""
    del rows
    return _ones(model, (name for name in _names(model) if HEAD in name))


def uniform(model: Model, rows: Rows) -> Float[np.ndarray, " params"]:
    """Return one for all parameters."""
    del rows
    return _ones(model, _names(model))


def learned(model: Model, rows: Rows) -> Float[np.ndarray, " params"]:
    """Return the variances of leaves that meta-training found; ones if it found none."""
    prior = model.learned.get(LEARNED)
    if prior is None:
        return uniform(model, rows)
    logs = prior["log_variance"].items()
    return leaf_variances(model, {name: float(np.exp(value)) for name, value in logs})


def relative(model: Model, rows: Rows) -> Float[np.ndarray, " params"]:
    """Return each leaf's mean square: large weights may move farther than small ones."""
    del rows
    means = {
        name: float(np.mean(np.square(leaf, dtype=np.float64)))
        for name, leaf in trees.named_leaves(model.params)
        if np.size(leaf)
    }
    return leaf_variances(model, means)


def fisher(model: Model, rows: Rows) -> Float[np.ndarray, " params"]:
    """Return variances ∝ F^(-1/2), for F the mean squared derivative on the shots, over noise.

    That is the Fisher information of the labels about each parameter: those that the labels
    hardly speak of move farther, as the steps of adaptive optimisers do. Predictions of the shots
    are as uncertain, on the whole, as `relative` makes them, so that the same scales fit both.
    """
    still = nothing(model, rows)
    weights = 1 / Prior(still, **noises_of(model)).noise(rows) / len(rows.frame)
    information = squares(rows.jacobian, weights)
    if not information.any():
        return still
    variance = 1 / np.sqrt(np.maximum(information, UNSEEN * information.mean()))
    return variance * (information @ relative(model, rows)) / (information @ variance)


def _names(model: Model) -> list[str]:
    return [name for name, _ in trees.named_leaves(model.params)]


def _ones(model: Model, names: Iterable[str]) -> Float[np.ndarray, " params"]:
    return leaf_variances(model, dict.fromkeys(names, 1.0))
