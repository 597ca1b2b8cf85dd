"""The same by the calculator of so3krates-torch, neighbour lists included; run it second."""

import json
import sys
from functools import partial
from pathlib import Path

import torch
from so3krates_torch.calculator.so3 import SO3LRCalculator
from so3krates_torch.tools.torch_geometric.batch import Batch
from speed import REPEATS, cpu_milliseconds, molecules
from torch_side import theirs

RESULTS = Path(__file__).parent / "results" / "speed.json"


def _forward(model: torch.nn.Module, batch: Batch) -> None:
    model(batch.clone().to_dict())


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rows = json.loads((folder / "kshot_speed.json").read_text())
    calculator = SO3LRCalculator(default_dtype="float32")
    for atoms in molecules():
        molecule, row = theirs(atoms), rows[atoms.info["name"]]
        batch = calculator._atoms_to_batch(molecule)
        row["torch_ms"] = cpu_milliseconds(partial(_forward, calculator.models[0], batch))
        row["torch_calculator_ms"] = cpu_milliseconds(partial(calculator.calculate, molecule))
        print(row, flush=True)
    about = f"float32, one thread, processor time, median of {REPEATS}"
    RESULTS.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
