"""nequip-allegro in kshot's three sizes, in eager mode; run after kshot_speed.py; one thread."""

import json
import sys
from pathlib import Path

import torch
from ase.neighborlist import neighbor_list
from cases import ELEMENTS
from nequip.utils.global_state import set_global_state
from speed import AVERAGE_NEIGHBOURS, CUTOFF, REPEATS, cpu_milliseconds, molecule
from torch_side import model

RESULTS = Path(__file__).parent / "results" / "speed.json"


def measure(config: dict) -> dict:
    atoms = molecule()
    centre, neighbour = neighbor_list("ij", atoms, CUTOFF)
    numbers = list(ELEMENTS.values())
    config["avg_num_neighbors"] = AVERAGE_NEIGHBOURS
    net = model(config, 0, "float32", CUTOFF)
    data = {
        "pos": torch.tensor(atoms.positions),
        "atom_types": torch.tensor([numbers.index(z) for z in atoms.numbers]),
        "edge_index": torch.tensor([centre.tolist(), neighbour.tolist()]),
    }

    def training():
        net.zero_grad()
        out = net(dict(data))
        (out["total_energy"].square().sum() + out["forces"].square().sum()).backward()

    found = {"parameters": sum(p.numel() for p in net.parameters())}
    net.eval()
    found["forces_ms"] = cpu_milliseconds(lambda: net(dict(data)))
    net.train()
    found["training_ms"] = cpu_milliseconds(training)
    return found


def main(folder: Path) -> None:
    set_global_state()
    torch.set_num_threads(1)
    rows = json.loads((folder / "speed.json").read_text())
    for name, row in rows.items():
        row["nequip-allegro"] = measure(row.pop("config"))
        print(name, row["nequip-allegro"], flush=True)
    about = f"Isobutane, 14 atoms, 182 edges, float32, one CPU thread, median of {REPEATS}"
    RESULTS.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
