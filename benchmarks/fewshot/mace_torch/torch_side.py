"""What runs in the environment that has mace-torch: models of a given size, with a given state.

python torch_side.py blank sizes.json blank.model blank.npz
python torch_side.py fill blank.model state.npz filled.model
python torch_side.py arrays tuned.model tuned.npz
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

torch.serialization.add_safe_globals([slice])  # e3nn 0.4.4 loads its constants so, on import
sys.path.insert(0, str(Path(__file__).parents[3] / "src" / "kshot" / "potentials" / "mace_torch"))

from e3nn import o3
from export import exported
from mace.modules import ScaleShiftMACE, interaction_classes


def blank(sizes: str, model: str, out: str) -> None:
    """Write a model of given sizes, its weights at random, and the same as arrays."""
    torch.set_default_dtype(torch.float64)
    told = json.loads(Path(sizes).read_text())
    made = ScaleShiftMACE(
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
        r_max=told["cutoff"],
        num_bessel=told["num_rbf"],
        num_polynomial_cutoff=5,
        max_ell=told["l_max"],
        interaction_cls=interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=interaction_classes["RealAgnosticInteractionBlock"],
        num_interactions=told["num_layers"],
        num_elements=len(told["elements"]),
        hidden_irreps=o3.Irreps(
            [(told["num_channels"], (l, (-1) ** l)) for l in range(told["node_symmetry"] + 1)]
        ),
        MLP_irreps=o3.Irreps(told["readout_irreps"][0]),
        atomic_energies=np.array(told["e0s"]),
        avg_num_neighbors=told["neighbours"],
        atomic_numbers=told["elements"],
        correlation=told["correlation"],
        gate=torch.nn.functional.silu,
        radial_MLP=told["radial_mlp_hidden"],
    )
    torch.save(made, model)
    np.savez(out, **exported(made))


def fill(model: str, state: str, out: str) -> None:
    """Write a model with another state."""
    made = loaded(model)
    with np.load(state) as held:
        made.load_state_dict({name: torch.as_tensor(value) for name, value in held.items()})
    torch.save(made, out)


def arrays(model: str, out: str) -> None:
    """Write a model as arrays."""
    np.savez(out, **exported(loaded(model)))


def loaded(model: str) -> torch.nn.Module:
    """Return a model that this file, or mace_run_train under it, has just written."""
    return torch.load(model, map_location="cpu", weights_only=False).double()


if __name__ == "__main__":
    {"blank": blank, "fill": fill, "arrays": arrays}[sys.argv[1]](*sys.argv[2:])
