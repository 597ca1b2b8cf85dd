"""Where each weight of nequip-allegro goes in kshot's Allegro; NumPy only.

Both sides keep weights at unit variance and scale in the forward pass by the same factors, so that
only the spline is rescaled. What differs is layout; README.md has the table.
"""

import re
from math import sqrt

import numpy as np

MLPS = {
    "scalar_embed_mlp.mlp_module": "two_body",
    "tensor_embed.env_embed_linear": "first_tensors",
    "allegro.first_layer_env_embed_projection": "first_environment",
    "edge_readout.mlp_module": "readout",
    "radial_chemical_embed.type_embed.basis_linear": "radial/mix",
}
EMBEDDINGS = {"center_embed": "radial/centre", "neighbor_embed": "radial/neighbour"}


def mapped(weights: dict[str, np.ndarray], config: dict) -> dict[str, np.ndarray]:
    """Return kshot's leaves by path, from the named parameters of the torch model."""
    found = {}
    for name, value in weights.items():
        path, leaf = one(name.removeprefix("model.func."), value, config)
        found[path] = leaf
    return found


def one(name: str, value: np.ndarray, config: dict) -> tuple[str, np.ndarray]:
    last = config["num_layers"] - 1
    if match := re.fullmatch(r"(.+)\.mlp\.(?:weights\.)?(\d+)(?:\.weight)?", name):
        module, index = match[1], match[2]
        # Activations count among the modules of a torch Sequential.
        path = f"kernel_{int(index) // 2}"
        if latent := re.fullmatch(r"allegro\.latents\.(\d+)", module):
            final = int(index) // 2 == len(config["latent_mlp_hidden"])
            tail = final and int(latent[1]) < last
            return f"layer_{latent[1]}/latent/{path}", irrep_major(value, config) if tail else value
        if module in ("tensor_embed.env_embed_linear", "allegro.first_layer_env_embed_projection"):
            value = irrep_major(value, config)
        return f"{MLPS[module]}/{path}", value
    if match := re.fullmatch(r"allegro\.tps\.(\d+)\.weights", name):
        return f"layer_{match[1]}/product/path_weights", value.reshape(value.shape[0], -1).T
    if name == "radial_chemical_embed.spline.class_embed.weight":
        return "radial/curves", spline(value, config)
    return EMBEDDINGS[name.split(".")[-2]], value


def irrep_major(kernel: np.ndarray, config: dict) -> np.ndarray:
    """Reorder the trailing outputs, one per channel and irrep."""
    irreps, channels = config["l_max"] + 1, config["num_tensor_features"]
    head, tail = np.split(kernel, [kernel.shape[1] - irreps * channels], axis=1)
    swapped = tail.reshape(-1, channels, irreps).swapaxes(1, 2).reshape(tail.shape)
    return np.concatenate([head, swapped], axis=1)


def spline(value: np.ndarray, config: dict) -> np.ndarray:
    number, features = round(sqrt(len(value))), config["num_scalar_features"]
    curves = value.reshape(number, number, features, config["num_rbf"]).swapaxes(2, 3)
    return curves * sqrt(config["spline_span"])
