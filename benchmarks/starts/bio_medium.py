"""Put the pieces of `frames.py` into one file that travels, and take them out again to train on.

    python benchmarks/starts/bio_medium.py pack FRAMES.npz
    python benchmarks/starts/bio_medium.py unpack FRAMES.npz FRAMES.h5 [EVERY]
    kshot train benchmarks/starts/bio-medium.yaml -o bio-medium.kshot

Sixteen bits hold a position exactly (frames.py) and a force to half a meV/Å. EVERY leaves out all
but so many frames, for a study of scale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from kshot.atoms import Labelled, Labels, Structure
from kshot.atoms.files import write

PIECES = Path(".cache/bio-medium/pieces")
GRID = 2048  # positions are multiples of 1/GRID Å
FORCE = 1e-3  # eV/Å, of one step of a packed force


def pack(out: Path) -> None:
    """Write all pieces as one file, molecules one after another."""
    names: list[str] = []
    parts: dict[str, list[np.ndarray]] = {
        key: []
        for key in ("numbers", "charges", "atoms", "frames", "positions", "energies", "forces")
    }
    for path in sorted(PIECES.glob("*.npz")):
        with np.load(path) as piece:
            if not len(piece["energies"]):
                continue
            names.append(path.name.split(".")[0])
            parts["numbers"].append(piece["numbers"].astype(np.int8))
            parts["charges"].append(piece["charge"].reshape(1).astype(np.int8))
            parts["atoms"].append(np.array([len(piece["numbers"])], np.int16))
            parts["frames"].append(np.array([len(piece["energies"])], np.int16))
            parts["positions"].append(piece["positions"].ravel())
            parts["energies"].append(piece["energies"])
            parts["forces"].append((piece["forces"] / FORCE).round().astype(np.int16).ravel())
    packed = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    np.savez_compressed(out, families=np.array(names), **packed)
    print(f"{len(packed['energies'])} frames of {len(set(names))} families, {out.stat().st_size} B")


def frames(path: Path) -> Iterator[Labelled]:
    """Yield the labelled frames of a packed file."""
    with np.load(path) as file:
        held = {key: file[key] for key in file.files}
    sizes, counts = held["atoms"].astype(int), held["frames"].astype(int)
    atom, frame, coordinate = 0, 0, 0
    for family, charge, n, m in zip(held["families"], held["charges"], sizes, counts, strict=True):
        numbers = held["numbers"][atom : atom + n].astype(int)
        span = slice(coordinate, coordinate + 3 * n * m)
        positions = held["positions"][span].reshape(m, n, 3) / GRID
        forces = held["forces"][span].reshape(m, n, 3) * FORCE
        for i in range(m):
            structure = Structure(
                numbers=numbers, positions=positions[i], charge=int(charge), family=str(family)
            )
            yield Labelled(structure, Labels(float(held["energies"][frame + i]), forces[i]))
        atom, frame, coordinate = atom + n, frame + m, span.stop


def main(words: Sequence[str]) -> int:
    """Pack or unpack; return the exit status."""
    match words:
        case ["pack", out]:
            pack(Path(out))
        case ["unpack", path, out, *every]:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            step = int(every[0]) if every else 1
            print(write(Path(out), islice(frames(Path(path)), 0, None, step)), "frames")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
