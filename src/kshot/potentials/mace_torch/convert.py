"""Turn an exported mace-torch model into a potential of kshot with its parameters; no PyTorch.

Both sides keep weights at unit variance and scale in the forward pass. What differs:

* linear layers are transposed; `linear_out` counts its inputs by channel, then path;
* weights per element are scaled by 1/√elements in mace-torch, not at all in mlip;
* the symmetric contraction has another basis, see `product`;
* SiLU is normalised by 1.67918 in mace-torch (a Monte-Carlo estimate) and 1.67656 in e3nn-jax:
  the ratio is folded into the layer after it;
* scale and shift: the scale is folded into the readouts, the shift into the E0s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, PyTree

from kshot.potentials.architectures import mace
from kshot.potentials.mace_torch.exported import Exported, Sizes, sizes
from kshot.potentials.mace_torch.product import contraction_weights
from kshot.potentials.networks import Network


class Converted(NamedTuple):
    """A mace-torch model as kshot's.

    Args:
        potential: mlip's MACE of the same sizes.
        params: its parameters, float64.
        e0s: energies of lone atoms in eV; the model's shift per atom is part of them.
    """

    potential: Network
    params: PyTree
    e0s: dict[int, float]


def convert(exported: Exported) -> Converted:
    """Return the model as kshot's.

    Raises:
        ModelFileError: mlip's MACE cannot represent it; the field is named.
    """
    given, found = exported.hyper_parameters, sizes(exported)
    numbers = [int(z) for z in given["atomic_numbers"]]
    shift = float(exported.state["scale_shift.shift"].reshape(-1)[0])
    e0s = exported.e0s.reshape(-1)
    potential = mace(
        tuple(numbers),
        cutoff=given["r_max"],
        neighbours=given["avg_num_neighbors"][0],
        config={
            "num_layers": len(given["interactions"]),
            "num_channels": found.channels,
            "l_max": found.l_max,
            "node_symmetry": found.node_symmetry,
            "correlation": found.correlation,
            "readout_irreps": (f"{found.readout}x0e", "0e"),
            "num_rbf": given["num_bessel"],
            "radial_mlp_hidden": given["radial_MLP"][0],
            "residual_connection_first_layer": found.residual_first,
        },
    )
    params = {"params": _Mapping(exported, found).params()}
    return Converted(
        potential, params, {z: float(e0) + shift for z, e0 in zip(numbers, e0s, strict=True)}
    )


class _Mapping:
    """The maps of one model, block by block."""

    def __init__(self, exported: Exported, found: Sizes) -> None:
        self.state = {name: np.asarray(value) for name, value in exported.state.items()}
        self.given, self.sizes = exported.hyper_parameters, found
        self.order = np.argsort(self.given["atomic_numbers"])  # mlip counts elements upwards
        self.layers = len(self.given["interactions"])
        self.scale = float(self.state["scale_shift.scale"].reshape(-1)[0])

    def params(self) -> dict[str, Any]:
        elements, channels = len(self.order), self.sizes.channels
        embedding = self.state["node_embedding.linear.weight"].reshape(elements, channels)
        found: dict[str, Any] = {
            "embedding_block": {
                "node_embedding_block": {"embed": {"embedding": embedding[self.order]}}
            }
        }
        for layer in range(self.layers):
            found[f"layers_{layer}"] = self.layer(layer)
        return found

    def layer(self, layer: int) -> dict[str, Any]:
        last = layer == self.layers - 1
        into = 0 if layer == 0 else self.sizes.node_symmetry
        out = 0 if last else self.sizes.node_symmetry
        messages, nodes = self.sizes.l_max, range(out + 1)
        torch = f"interactions.{layer}"
        found: dict[str, Any] = {
            "interaction_block": {
                "linear_in": self.linear(f"{torch}.linear_up.weight", range(into + 1)),
                "linear_out": self.linear_out(f"{torch}.linear.weight", into),
                "radial_mlp": self.radial(layer),
            },
            "expansion_block": {
                "linear_block": self.linear(f"products.{layer}.linear.weight", nodes),
                "symmetric_contraction": {"LinearIndexwise_0": self.contraction(layer, out + 1)},
            },
            "readout_block": {"ReadoutBlock_0": self.readout(layer, out)},
        }
        skip = self.state[f"{torch}.skip_tp.weight"]
        if layer > 0 or self.sizes.residual_first:
            # degrees that only one side has get no weights.
            found["residual_block"] = self.by_element(skip, min(into, out), max(into, out), out)
        else:
            found["linear_by_species_block"] = self.by_element(skip, messages, messages, messages)
        return found

    def linear(self, name: str, degrees: range) -> dict[str, np.ndarray]:
        channels = self.sizes.channels
        blocks = self.state[name].reshape(len(degrees), channels, channels)
        return {_block(i, i): block.T for i, block in enumerate(blocks)}

    def linear_out(self, name: str, into: int) -> dict[str, np.ndarray]:
        channels = self.sizes.channels
        paths = [_paths(into, self.sizes.l_max, degree) for degree in range(self.sizes.l_max + 1)]
        blocks = self.state[name].reshape(sum(paths), channels, channels)
        found = {}
        for degree, count in enumerate(paths):
            here = blocks[sum(paths[:degree]) :][:count]
            found[_block(degree, degree)] = here.transpose(2, 1, 0).reshape(channels, -1)
        return found

    def radial(self, layer: int) -> dict[str, dict[str, np.ndarray]]:
        prefix = f"interactions.{layer}.conv_tp_weights.layer"
        count = len(self.given["radial_MLP"][layer]) + 1
        ratio = self.given["silu_constants"][layer] / silu_constant()
        return {
            f"layers_{i}": {"kernel": self.state[f"{prefix}{i}.weight"] * (ratio if i else 1.0)}
            for i in range(count)
        }

    def contraction(self, layer: int, degrees: int) -> dict[str, Float[np.ndarray, "*shape"]]:
        found = contraction_weights(self.state, layer, self.sizes.l_max, degrees)
        return {name: weight[self.order] for name, weight in found.items()}

    def by_element(
        self, weights: np.ndarray, shared: int, most: int, out: int
    ) -> dict[str, np.ndarray]:
        channels, elements = self.sizes.channels, len(self.order)
        blocks = weights.reshape(shared + 1, channels, elements, channels) / np.sqrt(elements)
        found = {
            _block(i, i): block.transpose(1, 2, 0)[self.order] for i, block in enumerate(blocks)
        }
        for degree in range(shared + 1, most + 1):
            shape = (channels, 0) if degree <= out else (0, channels)
            found[_block(degree, degree)] = np.zeros((elements, *shape))
        return found

    def readout(self, layer: int, out: int) -> dict[str, dict[str, np.ndarray]]:
        channels, prefix = self.sizes.channels, f"readouts.{layer}"
        if layer < self.layers - 1:
            weight = self.state[f"{prefix}.linear.weight"].reshape(1, channels)
            rest = {_block(i, i): np.zeros((0, channels)) for i in range(1, out + 1)}
            return {"Linear_0": {_block(0, 0): self.scale * weight} | rest}
        first = self.state[f"{prefix}.linear_1.weight"].reshape(channels, self.sizes.readout)
        second = self.state[f"{prefix}.linear_2.weight"].reshape(1, self.sizes.readout)
        ratio = self.given["gate_constant"] / silu_constant()
        return {
            "Linear_0": {_block(0, 0): first.T},
            "Linear_1": {_block(0, 0): self.scale * ratio * second},
        }


def _block(index: int, degree: int) -> str:
    return f"weight{index}_{degree}_{(-1) ** degree}"


def _paths(into: int, l_max: int, out: int) -> int:
    """Return the number of paths from features times harmonics into one degree; all natural."""
    return sum(1 for _ in _pairs(into, l_max, out))


def _pairs(into: int, l_max: int, out: int) -> Iterator[tuple[int, int]]:
    for a in range(into + 1):
        for b in range(l_max + 1):
            if abs(a - b) <= out <= a + b and (a + b + out) % 2 == 0:
                yield a, b


def silu_constant() -> float:
    """Return the factor by which e3nn-jax normalises SiLU."""
    import e3nn_jax
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        one = jnp.asarray(1.0)
        normalise: Any = e3nn_jax.normalize_function  # annotated for floats, it maps arrays
        return float(normalise(jax.nn.silu)(one) / jax.nn.silu(one))
