"""nequip-allegro with random weights, in float64; runs in this folder's environment.

Writes one npz per case: structure, edges, weights, energies and forces.
"""

import sys
from pathlib import Path

import ase.build
import numpy as np
import torch
from allegro.model import AllegroModel
from ase.neighborlist import neighbor_list
from cases import CASES, CUTOFF, ELEMENTS, config
from nequip.utils.global_state import set_global_state


def structure(case: str) -> ase.Atoms:
    """Acetamide (9 atoms: C, H, N, O) away from its minimum, or dry ice with an N₂ in it."""
    if case == "periodic":
        atoms = ase.build.molecule("CO2") + ase.build.molecule("N2")
        atoms.positions[3:] += (2.4, 0.3, 0.5)
        atoms.set_cell([[5.2, 0.0, 0.0], [0.7, 4.9, 0.0], [0.2, -0.4, 5.5]])
        atoms.pbc = True
    else:
        atoms = ase.build.molecule("CH3CONH2")
    atoms.rattle(0.1, seed=1)
    return atoms


def model(c: dict, seed: int, dtype: str, cutoff: float = CUTOFF) -> torch.nn.Module:
    module = "Spline" if c.get("radial_basis") == "spline" else "Bessel"
    embed = {"_target_": f"allegro.nn.TwoBody{module}ScalarEmbed"}
    if module == "Spline":
        embed |= {"num_splines": c["num_rbf"], "spline_span": c["spline_span"]}
    else:
        embed |= {
            "num_bessels": c.get("num_rbf", 8),
            "polynomial_cutoff_p": c.get("envelope_power", 6),
        }
    networks = {"scalar_embed": "embed", "allegro": "latent", "readout": "readout"}
    mlps = {}
    for theirs, ours in networks.items():
        hidden = c[f"{ours}_mlp_hidden"]
        mlps[f"{theirs}_mlp_hidden_layers_depth"] = len(hidden)
        mlps[f"{theirs}_mlp_hidden_layers_width"] = hidden[0] if hidden else None
        mlps[f"{theirs}_mlp_nonlinearity"] = c.get("activation", "silu")
    return AllegroModel(
        seed=seed,
        model_dtype=dtype,
        r_max=cutoff,
        type_names=list(ELEMENTS),
        l_max=c["l_max"],
        parity=c.get("include_pseudotensors", True),
        radial_chemical_embed=embed,
        num_layers=c["num_layers"],
        num_scalar_features=c["num_scalar_features"],
        num_tensor_features=c["num_tensor_features"],
        avg_num_neighbors=c["avg_num_neighbors"],
        **mlps,
    )


def evaluate(net: torch.nn.Module, atoms: ase.Atoms) -> dict[str, np.ndarray]:
    centre, neighbour, shifts = neighbor_list("ijS", atoms, CUTOFF)
    numbers = list(ELEMENTS.values())
    data = {
        "pos": torch.tensor(atoms.positions),
        "atom_types": torch.tensor([numbers.index(z) for z in atoms.numbers]),
        "edge_index": torch.tensor(np.stack([centre, neighbour])),
    }
    if atoms.pbc.any():
        data["cell"] = torch.tensor(atoms.cell.array)[None]
        data["edge_cell_shift"] = torch.tensor(shifts, dtype=torch.float64)
    out = net(dict(data))
    return {
        "positions": atoms.positions,
        "numbers": atoms.numbers,
        "cell": atoms.cell.array,
        "periodic": np.array(atoms.pbc.any()),
        "centre": centre,
        "neighbour": neighbour,
        "shifts": shifts,
        "energy": out["total_energy"].detach().numpy().ravel(),
        "atom_energies": out["atomic_energy"].detach().numpy().ravel(),
        "forces": out["forces"].detach().numpy(),
    }


def main(folder: Path) -> None:
    set_global_state()
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, case in enumerate(CASES):
        net = model(config(case), seed, "float64")
        found = evaluate(net, structure(case))
        weights = {f"weight:{k}": v.detach().numpy() for k, v in net.named_parameters()}
        name = case.replace(",", "").replace(" ", "_").replace("=", "")
        np.savez(folder / f"{name}.npz", case=case, **found, **weights)
        print(f"{case}: {found['energy'][0]:.12f} eV", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
