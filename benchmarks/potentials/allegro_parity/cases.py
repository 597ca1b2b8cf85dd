"""The models that are compared: what both sides must agree on, in kshot's words."""

ELEMENTS = {"H": 1, "C": 6, "N": 7, "O": 8}
CUTOFF = 4.0  # Å
AVERAGE_NEIGHBOURS = 7.5

# Over kshot's AllegroConfig; every case draws its weights from its own seed.
BASE = {
    "num_layers": 2,
    "l_max": 2,
    "num_scalar_features": 32,
    "num_tensor_features": 8,
    "embed_mlp_hidden": [32],
    "latent_mlp_hidden": [32],
    "readout_mlp_hidden": [16],
    "avg_num_neighbors": AVERAGE_NEIGHBOURS,
}
CASES = {
    "bessel": {},
    "spline": {"radial_basis": "spline", "num_rbf": 12, "spline_span": 5},
    "three layers, both parities": {"num_layers": 3},
    "three layers, one parity": {"num_layers": 3, "include_pseudotensors": False},
    "l_max 3": {"l_max": 3},
    "l_max 1, one layer": {"l_max": 1, "num_layers": 1},
    "deep networks, mish": {
        "embed_mlp_hidden": [24, 24],
        "latent_mlp_hidden": [24, 24, 24],
        "readout_mlp_hidden": [],
        "activation": "mish",
    },
    "gelu, p = 4": {"activation": "gelu", "envelope_power": 4},
    "periodic": {},
    # Small enough to be committed with its weights: tests/data/allegro_reference.json.
    "reference": {
        "num_layers": 3,
        "num_scalar_features": 8,
        "num_tensor_features": 4,
        "embed_mlp_hidden": [8],
        "latent_mlp_hidden": [8],
        "readout_mlp_hidden": [8],
        "num_rbf": 6,
    },
}


def config(case: str) -> dict:
    return {**BASE, **CASES[case]}
