"""mace-torch models of given sizes, and batches for them, without its data loader."""

import numpy as np
import sizes
import torch

torch.serialization.add_safe_globals([slice])  # e3nn 0.4.4 loads its constants so, on import

from e3nn import o3
from mace.modules import ScaleShiftMACE, interaction_classes


def mace(
    channels: int,
    radial: list[int],
    *,
    l_max: int = 2,
    symmetry: int = 1,
    correlation: int = 2,
    first: str = "RealAgnosticInteractionBlock",
) -> ScaleShiftMACE:
    irreps = " + ".join(f"{channels}x{l}{'eo'[l % 2]}" for l in range(symmetry + 1))
    return ScaleShiftMACE(
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
        r_max=sizes.CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=l_max,
        interaction_cls=interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=interaction_classes[first],
        num_interactions=2,
        num_elements=len(sizes.ELEMENTS),
        hidden_irreps=o3.Irreps(irreps),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros(len(sizes.ELEMENTS)),
        avg_num_neighbors=sizes.NEIGHBOURS,
        atomic_numbers=list(sizes.ELEMENTS),
        correlation=correlation,
        gate=torch.nn.functional.silu,
        radial_MLP=radial,
    )


def batch(numbers: np.ndarray, positions: np.ndarray) -> dict[str, torch.Tensor]:
    """Structures of one molecule as one graph; every pair within the cutoff, both ways."""
    shots, atoms = positions.shape[:2]
    kind = torch.get_default_dtype()
    edges = []
    for shot, here in enumerate(positions):
        apart = np.linalg.norm(here[:, None] - here[None], axis=-1)
        near = np.argwhere((apart < sizes.CUTOFF) & ~np.eye(atoms, dtype=bool)).T
        edges.append(near + shot * atoms)
    edge_index = torch.tensor(np.concatenate(edges, axis=1))
    species = torch.tensor(np.tile(np.searchsorted(sizes.ELEMENTS, numbers), shots))
    count = edge_index.shape[1]
    return {
        "positions": torch.tensor(positions.reshape(-1, 3), dtype=kind),
        "node_attrs": torch.nn.functional.one_hot(species, len(sizes.ELEMENTS)).to(kind),
        "edge_index": edge_index,
        "shifts": torch.zeros(count, 3),
        "unit_shifts": torch.zeros(count, 3),
        "cell": torch.zeros(3 * shots, 3),
        "batch": torch.arange(shots).repeat_interleave(atoms),
        "ptr": torch.arange(shots + 1) * atoms,
        "head": torch.zeros(shots, dtype=torch.long),
    }
