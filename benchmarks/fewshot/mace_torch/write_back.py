"""A MACE of kshot as the state of a mace-torch model of equal size: `convert`, backwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import PyTree

from kshot.potentials.mace_torch.convert import silu_constant
from kshot.potentials.mace_torch.exported import Exported, Sizes, sizes
from kshot.potentials.mace_torch.product import contraction_weights, weight_names

Arrays = dict[str, np.ndarray]


def written_back(params: PyTree, blank: Exported) -> Arrays:
    """Return the state that makes a mace-torch model predict what kshot's parameters do.

    Args:
        params: of kshot's MACE; its elements are counted upwards.
        blank: a mace-torch model of the same sizes, elements counted upwards, whatever its weights.
    """
    tree, found = params["params"], sizes(blank)
    elements = len(blank.hyper_parameters["atomic_numbers"])
    embedding = tree["embedding_block"]["node_embedding_block"]["embed"]["embedding"]
    state = {**blank.state, "node_embedding.linear.weight": np.ravel(embedding)}
    state["scale_shift.scale"] = np.ones_like(state["scale_shift.scale"])
    state["scale_shift.shift"] = np.zeros_like(state["scale_shift.shift"])
    layers = len(blank.hyper_parameters["interactions"])
    for layer in range(layers):
        here = tree[f"layers_{layer}"]
        state |= _interaction(layer, here, blank, elements)
        state |= _product(layer, here, blank, found)
        state |= _readout(layer, here["readout_block"]["ReadoutBlock_0"], blank, layers)
    return {name: np.reshape(value, blank.state[name].shape) for name, value in state.items()}


def _interaction(layer: int, here: Mapping[str, Any], blank: Exported, elements: int) -> Arrays:
    block, torch = here["interaction_block"], f"interactions.{layer}"
    ratio = blank.hyper_parameters["silu_constants"][layer] / silu_constant()
    mlp = block["radial_mlp"]
    skip = here["residual_block" if "residual_block" in here else "linear_by_species_block"]
    by_element = [w.transpose(2, 0, 1) * np.sqrt(elements) for w in _blocks(skip) if w.size]
    # linear_out counts its inputs by channel, then path.
    out = [w.reshape(len(w), len(w), -1).transpose(2, 1, 0) for w in _blocks(block["linear_out"])]
    return {
        f"{torch}.linear_up.weight": _flat(w.T for w in _blocks(block["linear_in"])),
        f"{torch}.linear.weight": _flat(out),
        f"{torch}.skip_tp.weight": _flat(by_element),
    } | {
        f"{torch}.conv_tp_weights.layer{i}.weight": mlp[f"layers_{i}"]["kernel"]
        / (ratio if i else 1.0)
        for i in range(len(mlp))
    }


def _product(layer: int, here: Mapping[str, Any], blank: Exported, found: Sizes) -> Arrays:
    block, torch = here["expansion_block"], f"products.{layer}"
    state = {f"{torch}.linear.weight": _flat(w.T for w in _blocks(block["linear_block"]))}
    ours = block["symmetric_contraction"]["LinearIndexwise_0"]
    basis = _basis(layer, len(ours), blank, found)
    for degree, (name, weights) in enumerate(ours.items()):
        theirs = np.einsum("kj,ecj->ekc", np.linalg.pinv(basis[name]), weights[:, :, 0])
        names = weight_names(blank.state, f"{torch}.symmetric_contractions.contractions.{degree}.")
        ends = np.cumsum([blank.state[one].shape[1] for one in names])[:-1]
        state |= dict(zip(names, np.split(theirs, ends, axis=1), strict=True))
    return state


def _basis(layer: int, degrees: int, blank: Exported, found: Sizes) -> Arrays:
    """Return what each of their polynomials is in ours, by reading unit weights as weights."""
    unit = dict(blank.state)
    for degree in range(degrees):
        prefix = f"products.{layer}.symmetric_contractions.contractions.{degree}."
        names = weight_names(unit, prefix)
        counts = [unit[one].shape[1] for one in names]
        rows = np.split(np.eye(sum(counts))[:, :, None], np.cumsum(counts)[:-1], axis=1)
        unit |= dict(zip(names, rows, strict=True))
    mapped = contraction_weights(unit, layer, found.l_max, degrees)
    return {name: weights[:, 0, 0].T for name, weights in mapped.items()}


def _readout(layer: int, block: Mapping[str, Any], blank: Exported, layers: int) -> Arrays:
    prefix, first = f"readouts.{layer}", _blocks(block["Linear_0"])[0]
    if layer < layers - 1:
        return {f"{prefix}.linear.weight": np.ravel(first)}
    ratio = blank.hyper_parameters["gate_constant"] / silu_constant()
    return {
        f"{prefix}.linear_1.weight": np.ravel(first.T),
        f"{prefix}.linear_2.weight": np.ravel(_blocks(block["Linear_1"])[0]) / ratio,
    }


def _blocks(linear: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the weights of a linear layer, the lowest degree first."""
    return [np.asarray(linear[name], np.float64) for name in sorted(linear)]


def _flat(blocks: Iterator[np.ndarray] | list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(block) for block in blocks])
