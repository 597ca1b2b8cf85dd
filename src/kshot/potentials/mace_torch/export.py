"""A mace-torch model in memory as numbers: arrays of its state, with its hyper-parameters as JSON.

This file runs in the environment that has mace-torch, and needs nothing of kshot. A model in a file
needs none of it: `kshot.potentials.mace_torch.saved` reads that without PyTorch.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

FORMAT = "kshot mace-torch export"
VERSION = 1


def exported(model: Any) -> dict[str, np.ndarray]:  # noqa: ANN401 - a torch module
    """Return all that a model is, as arrays; the hyper-parameters are JSON under ``about``."""
    arrays = {
        f"state/{name}": value.detach().cpu().numpy() for name, value in model.state_dict().items()
    }
    arrays["e0s"] = arrays["state/atomic_energies_fn.atomic_energies"]
    about = {"format": FORMAT, "version": VERSION, "hyper_parameters": hyper_parameters(model)}
    arrays["about"] = np.array(json.dumps(about))
    return arrays


def hyper_parameters(model: Any) -> dict[str, Any]:  # noqa: ANN401 - torch is not imported here
    """Return what the state does not tell; fields that older versions lack get their default."""
    own, parts = vars(model), dict(model.named_children())
    radial, readout = parts["radial_embedding"], parts["readouts"][-1]
    radial_parts = dict(radial.named_children())
    readout_parts = dict(readout.named_children())
    transform = radial_parts.get("distance_transform")
    act = readout_parts["non_linearity"].acts[0] if "non_linearity" in readout_parts else None
    layers = list(parts["interactions"])
    products = list(parts["products"])
    return {
        "class": type(model).__name__,
        "atomic_numbers": model.atomic_numbers.tolist(),
        "r_max": float(model.r_max),
        "num_bessel": int(radial.out_dim),
        "radial_type": type(radial.bessel_fn).__name__,
        "num_polynomial_cutoff": int(radial.cutoff_fn.p),
        "distance_transform": "None" if transform is None else type(transform).__name__,
        "apply_cutoff": bool(own.get("apply_cutoff", True)),
        "pair_repulsion": "pair_repulsion_fn" in parts,
        "spherical_harmonics": str(model.spherical_harmonics.irreps_out),
        "use_so3": bool(own.get("use_so3", False)),
        "use_agnostic_product": bool(own.get("use_agnostic_product", False)),
        "use_last_readout_only": bool(own.get("use_last_readout_only", False)),
        "joint_embedding": "joint_embedding" in parts,
        "heads": list(own.get("heads") or ["Default"]),
        "interactions": [type(layer).__name__ for layer in layers],
        "avg_num_neighbors": [float(layer.avg_num_neighbors) for layer in layers],
        "node_feats_irreps": [str(layer.node_feats_irreps) for layer in layers],
        "edge_irreps": [str(vars(one).get("edge_irreps", one.node_feats_irreps)) for one in layers],
        "target_irreps": [str(layer.target_irreps) for layer in layers],
        "radial_MLP": [list(layer.conv_tp_weights.hs[1:-1]) for layer in layers],
        "silu_constants": [float(layer.conv_tp_weights[0].act.cst) for layer in layers],
        "product_irreps": [str(product.linear.irreps_out) for product in products],
        "correlation": [_correlations(product) for product in products],
        "readouts": [type(one).__name__ for one in parts["readouts"]],
        "MLP_irreps": str(vars(readout).get("hidden_irreps", "")),
        "gate": "None" if act is None else str(vars(act.f).get("__name__", act.f.__name__)),
        "gate_constant": 1.0 if act is None else float(act.cst),
    }


def _correlations(product: Any) -> list[int]:  # noqa: ANN401
    """Return the correlation order of each irrep of a product basis."""
    return [len(one.weights) + 1 for one in product.symmetric_contractions.contractions]
