"""Turn an SO3LR model of so3krates-torch into a potential of kshot with its parameters.

Weights are those of linear layers, transposed. What differs: only the rows of elements that the
model was trained on are taken over, and its shifts per element become E0s.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, PyTree

from kshot.core.errors import ModelFileError
from kshot.core.torch_file import Module
from kshot.potentials.so3krates.network import So3krates
from kshot.potentials.so3krates.sizes import Sizes

KIND = "so3krates_torch.modules.models.SO3LR"
ELEMENTS = (1, 6, 7, 8, 9, 15, 16, 17)  # that SO3LR was trained on
# what the calculator of so3krates-torch sets, as the file leaves it open
FAR_CUTOFF, FAR_ONSET = 12.0, 2.0
FIXED: dict[str, Any] = {
    "final_mlp_layers": 2,
    "message_normalization": "avg_num_neighbors",
    "initialize_ev_to_zeros": True,
    "radial_basis_fn": "bernstein",
    "trainable_rbf": False,
    "layer_normalization_1": True,
    "layer_normalization_2": True,
    "residual_mlp_1": True,
    "residual_mlp_2": False,
    "use_charge_embed": True,
    "use_spin_embed": True,
    "interaction_bias": True,
    "qk_non_linearity": "identity",
    "cutoff_fn_name": "phys",
    "activation_fn_name": "silu",
    "energy_activation_fn_name": "silu",
    "input_convention": "positions",
    "zbl_repulsion_bool": True,
    "electrostatic_energy_bool": True,
    "dispersion_energy_bool": True,
    "neighborlist_format_lr": "sparse",
}
"""What kshot's network does, by the name of the option there; other values are refused."""
OTHER = "kshot's network has no counterpart of it: this model cannot be converted."


class Converted(NamedTuple):
    """An SO3LR model as kshot's.

    Args:
        potential: the network.
        params: its parameters, in the type that the file has.
        e0s: the model's shift per atom in eV, for each element.
    """

    potential: So3krates
    params: PyTree
    e0s: dict[int, float]


def convert(saved: Module) -> Converted:
    """Return a saved SO3LR model as kshot's.

    Raises:
        ModelFileError: it is another model, or has what kshot's network has not; that is named.
    """
    if str(saved.kind) != KIND:
        todo = "Give so3lr.model, as so3krates-torch carries it."
        raise ModelFileError(f"a model of {KIND}", f"one of {str(saved.kind)[:80]}", todo)
    given = saved.attributes
    for name, wanted in FIXED.items():
        if given.get(name) != wanted:
            raise ModelFileError(f"{name} = {wanted!r}", f"{given.get(name)!r:.40}", OTHER)
    try:
        sizes, cutoff = _sizes(saved), float(given["r_max"])
        state = _State(saved.state(), sizes)
        params = state.params()
        shifts = state.take("atomic_energy_output_block.energy_shifts", 118)
    except (KeyError, TypeError, ValueError) as error:
        todo = "It is of another version, or damaged: give that of so3krates-torch 0.2.1."
        raise ModelFileError("an SO3LR model", f"{error!r:.80}", todo) from error
    e0s = {z: float(shifts[z - 1]) for z in ELEMENTS}
    return Converted(So3krates(ELEMENTS, cutoff, sizes), params, e0s)


def _sizes(saved: Module) -> Sizes:
    given = saved.attributes
    degrees = given["degrees"]
    if degrees != list(range(1, len(degrees) + 1)) or given["energy_regression_dim"] is None:
        raise ModelFileError("degrees 1, 2, 3, …", f"{degrees!r:.40}", OTHER)
    basis = saved.children["radial_embedding"].children["radial_basis_fn"]
    return Sizes(
        features=given["num_features"],
        heads=given["num_heads"],
        layers=given["num_layers"],
        degrees=len(degrees),
        radial=given["num_radial_basis_fn"],
        decay=float(basis.tensors["gamma"]),
        neighbours=float(given["avg_num_neighbors"]),
        far_cutoff=FAR_CUTOFF,
        far_onset=FAR_ONSET,
        charge_width=float(given["electrostatic_energy_scale"]),
        damping=float(given["dispersion_energy_scale"]),
    )


class _State:
    """The maps of one model's tensors, part by part; every shape is checked."""

    def __init__(self, state: dict[str, np.ndarray], sizes: Sizes) -> None:
        self.state, self.sizes = state, sizes
        self.rows = np.array(ELEMENTS)

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Return one tensor of a known shape."""
        found = self.state[name]
        if found.shape != shape or not np.isfinite(found).all():
            raise ModelFileError(f"{name} of shape {shape}", f"{found.shape}, or no numbers", OTHER)
        return np.array(found)

    def params(self) -> dict[str, Any]:
        width = self.sizes.features
        half = width // 2
        energy, charge, ratio = (
            f"{name}_output_block" for name in ("atomic_energy", "partial_charges", "hirshfeld")
        )
        scale = self.take(f"{energy}.energy_scales.weight", 1, 118)[0, self.rows - 1]
        params: dict[str, Any] = {
            "embedding": self.by_element("inv_feature_embedding.embedding.weight"),
            "charge_embedding": self.embedding("charge_embedding"),
            "spin_embedding": self.embedding("spin_embedding"),
            "readout": {
                "Linear_0": self.dense(f"{energy}.layers.0", width, width),
                "Linear_1": self.dense(f"{energy}.final_layer", width, 1),
                "scale": scale,
            },
            "charge": self.pair(f"{charge}.transform_inv_features", width, width, 1)
            | {"shift": self.table(f"{charge}.atomic_embedding.weight", 1)[:, 0]},
            "ratio": self.pair(f"{ratio}.transform_features", width, half, half)
            | {
                "query": self.table(f"{ratio}.q_embedding.weight", half),
                "shift": self.table(f"{ratio}.v_shift_embedding.weight", 1)[:, 0],
            },
            "repulsion": self.repulsion(),
        }
        return params | {f"layer_{n}": self.layer(n) for n in range(self.sizes.layers)}

    def by_element(self, name: str) -> Float[np.ndarray, "elements features"]:
        return self.take(name, self.sizes.features, 118).T[self.rows - 1]

    def table(self, name: str, width: int) -> Float[np.ndarray, "elements width"]:
        return self.take(name, 100, width)[self.rows]  # counted from 0, unlike the others

    def dense(self, name: str, into: int, out: int) -> dict[str, np.ndarray]:
        kernel = self.take(f"{name}.weight", out, into).T
        return {"kernel": kernel, "bias": self.take(f"{name}.bias", out)}

    def pair(
        self, name: str, into: int, inner: int, out: int, ends: tuple[str, str] = ("0", "2")
    ) -> dict[str, Any]:
        first, second = (f"{name}.{end}" for end in ends)
        return {
            "Linear_0": self.dense(first, into, inner),
            "Linear_1": self.dense(second, inner, out),
        }

    def embedding(self, name: str) -> dict[str, np.ndarray]:
        width = self.sizes.features
        return {
            "query": self.by_element(f"{name}.Wq.weight"),
            "key": self.take(f"{name}.Wk", 2, width),
            "value": self.take(f"{name}.Wv", 2, width),
            "first": self.take(f"{name}.mlp.1.weight", width, width).T,
            "second": self.take(f"{name}.mlp.3.weight", width, width).T,
        }

    def layer(self, number: int) -> dict[str, Any]:
        sizes, prefix = self.sizes, f"euclidean_transformers.{number}"
        width, both = sizes.features, sizes.features + sizes.degrees
        attention = f"{prefix}.euclidean_attention_block"
        kinds = {"scalar": ("inv", sizes.heads), "tensor": ("ev", sizes.degrees)}
        layer: dict[str, Any] = {
            "value": self.heads(f"{attention}.W_v_inv", sizes.heads),
            "norm_1": self.norm(f"{prefix}.layer_norm_inv_1"),
            "norm_2": self.norm(f"{prefix}.layer_norm_inv_2"),
            "residual": self.pair(f"{prefix}.mlp_1", width, width, width, ("1", "3")),
            "exchange": self.dense(f"{prefix}.interaction_block.linear_layer", both, both),
        }
        for kind, (theirs, heads) in kinds.items():
            net = f"{prefix}.filter_net_{theirs}"
            layer[f"query_{kind}"] = self.heads(f"{attention}.W_q_{theirs}", heads)
            layer[f"key_{kind}"] = self.heads(f"{attention}.W_k_{theirs}", heads)
            layer[f"filter_{kind}"] = {
                "radial": self.filter(f"{net}.mlp_rbf", "mlp_rbf_layer_1", sizes.radial, width),
                "angular": self.filter(
                    f"{net}.mlp_ev", "mlp_ev_layer_1", sizes.degrees, width // 4
                ),
            }
        return layer

    def filter(self, name: str, last: str, into: int, inner: int) -> dict[str, Any]:
        return self.pair(name, into, inner, self.sizes.features, ("0", f"{last}.0"))

    def heads(self, name: str, heads: int) -> Float[np.ndarray, "heads into out"]:
        each = self.sizes.features // heads
        return self.take(name, heads, each, each)

    def norm(self, name: str) -> dict[str, np.ndarray]:
        width = self.sizes.features
        return {
            "scale": self.take(f"{name}.weight", width),
            "bias": self.take(f"{name}.bias", width),
        }

    def repulsion(self) -> dict[str, np.ndarray]:
        def raw(*names: str) -> np.ndarray:
            return np.concatenate([self.take(f"zbl_repulsion.{name}_raw", 1) for name in names])

        return {
            "rates": raw("a1", "a2", "a3", "a4"),
            "weights": raw("c1", "c2", "c3", "c4"),
            "power": raw("p")[0],
            "inverse_length": raw("d")[0],
        }
