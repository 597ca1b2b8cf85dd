"""A mace-torch model file read without PyTorch, and without running anything in it.

What ``torch.save(model)`` wrote names classes and holds numbers; the names are compared, never
looked up (`kshot.core.torch_file`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kshot.core.errors import ModelFileError
from kshot.core.torch_file import Module, module, read_torch
from kshot.core.torch_pickle import Name, Record
from kshot.potentials.mace_torch.exported import Exported

KIND = "ScaleShiftMACE"
OTHER = "Give the .model file that mace_run_train writes at its end, not a checkpoint of weights."


def read_saved(path: Path | str) -> Exported:
    """Return what a mace-torch model file holds, in float64.

    Raises:
        ModelFileError: it is no such file, is damaged, or is of another class.
    """
    saved = module(read_torch(path))
    if saved.kind.name != KIND or saved.kind.module.partition(".")[0] != "mace":
        raise ModelFileError(f"a model of mace-torch, {KIND}", str(saved.kind)[:80], OTHER)
    try:
        state = {name: _double(tensor) for name, tensor in saved.state().items()}
        e0s = np.atleast_1d(np.squeeze(state["atomic_energies_fn.atomic_energies"]))
        return Exported(state, e0s, hyper_parameters(saved))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        todo = "It is damaged, or of a version of mace-torch that kshot does not know."
        raise ModelFileError(f"a {KIND}", f"{path}: {error!r:.80}", todo) from error


def hyper_parameters(saved: Module) -> dict[str, Any]:
    """Return what the state does not tell; fields that older versions lack get their default.

    The same of a model in memory is `kshot.potentials.mace_torch.export.hyper_parameters`.
    """
    own, parts = saved.attributes, saved.children
    radial = parts["radial_embedding"]
    layers, products = (_items(parts[name]) for name in ("interactions", "products"))
    readouts = _items(parts["readouts"])
    last = readouts[-1]
    act = _items(last.children["non_linearity"].children["acts"])[0] if _bends(last) else None
    transform = radial.children.get("distance_transform")
    silu = [
        layer.children["conv_tp_weights"].children["layer0"].children["act"] for layer in layers
    ]
    return {
        "class": saved.kind.name,
        "atomic_numbers": saved.tensors["atomic_numbers"].tolist(),
        "r_max": float(saved.tensors["r_max"]),
        "num_bessel": int(radial.attributes["out_dim"]),
        "radial_type": radial.children["bessel_fn"].kind.name,
        "num_polynomial_cutoff": int(radial.children["cutoff_fn"].tensors["p"]),
        "distance_transform": "None" if transform is None else transform.kind.name,
        "apply_cutoff": bool(own.get("apply_cutoff", True)),
        "pair_repulsion": "pair_repulsion_fn" in parts,
        "spherical_harmonics": _irreps(parts["spherical_harmonics"].attributes["irreps_out"]),
        "use_so3": bool(own.get("use_so3", False)),
        "use_agnostic_product": bool(own.get("use_agnostic_product", False)),
        "use_last_readout_only": bool(own.get("use_last_readout_only", False)),
        "joint_embedding": "joint_embedding" in parts,
        "heads": list(own.get("heads") or ["Default"]),
        "interactions": [layer.kind.name for layer in layers],
        "avg_num_neighbors": [_number(layer, "avg_num_neighbors") for layer in layers],
        "node_feats_irreps": [_irreps(layer.attributes["node_feats_irreps"]) for layer in layers],
        "edge_irreps": [_edge_irreps(layer.attributes) for layer in layers],
        "target_irreps": [_irreps(layer.attributes["target_irreps"]) for layer in layers],
        "radial_MLP": [
            [int(n) for n in layer.children["conv_tp_weights"].attributes["hs"][1:-1]]
            for layer in layers
        ],
        "silu_constants": [float(act_of.attributes["cst"]) for act_of in silu],
        "product_irreps": [
            _irreps(p.children["linear"].attributes["irreps_out"]) for p in products
        ],
        "correlation": [_correlations(product) for product in products],
        "readouts": [readout.kind.name for readout in readouts],
        "MLP_irreps": _irreps(last.attributes["hidden_irreps"]) if _bends(last) else "",
        "gate": "None" if act is None else _function(act.attributes["f"]),
        "gate_constant": 1.0 if act is None else float(act.attributes["cst"]),
    }


def _items(modules: Module) -> list[Module]:
    """Return the modules of a list, in order."""
    return [modules.children[str(place)] for place in range(len(modules.children))]


def _bends(readout: Module) -> bool:
    return "non_linearity" in readout.children


def _edge_irreps(attributes: Mapping[str, Any]) -> str:
    given = attributes.get("edge_irreps")
    return _irreps(attributes["node_feats_irreps"] if given is None else given)


def _number(layer: Module, name: str) -> float:
    """Return a number that some versions keep as a buffer."""
    return float(layer.tensors[name] if name in layer.tensors else layer.attributes[name])


def _correlations(product: Module) -> list[int]:
    """Return the correlation order of each irrep of a product basis."""
    contractions = product.children["symmetric_contractions"].children["contractions"]
    return [len(each.children["weights"].tensors) + 1 for each in _items(contractions)]


def _irreps(saved: Any) -> str:  # noqa: ANN401 - of a file
    """Return irreps as e3nn writes them, such as ``16x0e+16x1o``."""
    terms = []
    for term in saved.args[0]:
        count, irrep = _pair(term)
        degree, parity = _pair(irrep)
        terms.append(f"{int(count)}x{int(degree)}{'e' if int(parity) == 1 else 'o'}")
    return "+".join(terms)


def _pair(saved: Record) -> tuple[Any, Any]:
    """Return both values of a named pair, handed over as one tuple or as two."""
    first, second = saved.args[0] if len(saved.args) == 1 else saved.args
    return first, second


def _function(saved: Any) -> str:  # noqa: ANN401 - of a file
    """Return the name of a function, or of what wraps it."""
    if isinstance(saved, Name):
        return saved.name.rpartition(".")[2]
    return saved.kind.name if isinstance(saved, Record) else type(saved).__name__


def _double(tensor: np.ndarray) -> np.ndarray:
    return tensor.astype(np.float64) if tensor.dtype.kind == "f" else tensor
