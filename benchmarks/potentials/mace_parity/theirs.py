"""Models of mace-torch with random weights, and their energies and forces; needs mace-torch.

python theirs.py FOLDER STRUCTURES.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

torch.serialization.add_safe_globals([slice])  # e3nn 0.4.4 loads its constants so, on import

from e3nn import o3
from mace import data
from mace.modules import ScaleShiftMACE, interaction_classes
from mace.tools import AtomicNumberTable, torch_geometric

ELEMENTS, CUTOFF = (1, 6, 7, 8), 5.0
SIZES = {  # channels, highest degree of messages
    "MACE-OFF-small": (96, 0),
    "MACE-OFF-medium": (128, 1),
}


def model(channels: int, degree: int) -> ScaleShiftMACE:
    """Return a model with random weights, in float64."""
    torch.manual_seed(0)
    hidden = o3.Irreps([(channels, (l, (-1) ** l)) for l in range(degree + 1)])
    return ScaleShiftMACE(
        atomic_inter_scale=0.8,
        atomic_inter_shift=0.1,
        r_max=CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=interaction_classes["RealAgnosticInteractionBlock"],
        num_interactions=2,
        num_elements=len(ELEMENTS),
        hidden_irreps=hidden,
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.array([-13.6, -1029.0, -1484.0, -2041.0]),
        avg_num_neighbors=12.0,
        atomic_numbers=list(ELEMENTS),
        correlation=3,
        gate=torch.nn.functional.silu,
        radial_MLP=[64, 64, 64],
    )


def predicted(made: ScaleShiftMACE, numbers: np.ndarray, positions: np.ndarray) -> dict:
    """Return energy and forces of one molecule."""
    config = data.Configuration(numbers, positions, {}, {})
    atoms = data.AtomicData.from_config(config, AtomicNumberTable(list(ELEMENTS)), CUTOFF)
    batch = torch_geometric.batch.Batch.from_data_list([atoms]).to_dict()
    return made(batch, compute_force=True)


def main(folder: Path, structures: Path) -> None:
    """Write every model, and what it predicts."""
    torch.set_default_dtype(torch.float64)
    with np.load(structures) as file:
        held = dict(file)
    names = sorted({key.partition("/")[0] for key in held})
    for size, (channels, degree) in SIZES.items():
        made = model(channels, degree)
        torch.save(made, folder / f"{size}.model")
        results = {}
        for name in names:
            found = predicted(made, held[f"{name}/numbers"], held[f"{name}/positions"])
            results |= {
                f"{name}/{key}": found[key].detach().numpy() for key in ("energy", "forces")
            }
        np.savez(folder / f"{size}.npz", **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
