"""Write a mace-torch model as numbers: an npz of its state, with its hyper-parameters as JSON.

This file runs in the environment that has mace-torch, and needs nothing of kshot:

    python export.py trained.model -o trained.npz --trust-pickle

A mace-torch model is a pickle, and opening a pickle can run any code that its author put there. So
nothing is opened without ``--trust-pickle``. The npz holds arrays and text only: whoever gets that
needs to trust nobody.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "kshot mace-torch export"
VERSION = 1
WARNING = (
    "{file} is a pickle: opening it can run code that its author put there. You said that you"
    " trust it (--trust-pickle)."
)


def read_model(file: Path, *, trust_pickle: bool) -> Any:  # noqa: ANN401 - torch is in the user's environment only
    """Return the model in a mace-torch file, on the CPU and in float64.

    Args:
        file: what ``torch.save(model)`` wrote, such as ``trained.model``.
        trust_pickle: whether the user trusts the file's author with their account.

    Raises:
        PermissionError: ``trust_pickle`` is false; nothing was opened.
        TypeError: the file holds something other than a model.
    """
    if not trust_pickle:
        what = f"{file} is a pickle, and can run code when it is opened: only with --trust-pickle"
        raise PermissionError(what)
    sys.stderr.write(WARNING.format(file=file) + "\n")
    torch: Any = importlib.import_module("torch")
    torch.serialization.add_safe_globals([slice])  # e3nn 0.4.4 loads its constants so, on import
    model = torch.load(file, map_location="cpu", weights_only=False)
    if not isinstance(model, torch.nn.Module):
        what = f"{file} holds a {type(model).__name__}, not a model: give the .model file, which"
        raise TypeError(f"{what} mace_run_train writes at its end, not a checkpoint of weights")
    return model.double()


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


def main() -> None:
    """Export one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help="a mace-torch model, such as trained.model")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the npz to write")
    parser.add_argument("--trust-pickle", action="store_true", help="let the file run its code")
    parser.add_argument("--force", action="store_true", help="replace an output that is there")
    options = parser.parse_args()
    output = options.output.with_suffix(".npz")
    if output.exists() and (not options.force or output.samefile(options.file)):
        parser.exit(2, f"{output} exists: name another, or add --force if it is not the input\n")
    try:
        model = read_model(options.file, trust_pickle=options.trust_pickle)
    except (PermissionError, TypeError) as error:
        parser.exit(2, f"{error}\n")
    arrays: dict[str, Any] = exported(model)
    np.savez_compressed(output, **arrays)
    sys.stdout.write(f"wrote {output}\n")


if __name__ == "__main__":
    main()
