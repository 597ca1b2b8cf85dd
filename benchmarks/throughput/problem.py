"""The labelled molecules of both sides, as one npz; reading it needs NumPy only.

python benchmarks/throughput/problem.py problem.npz

Frames are those of the development families of ``benchmarks/fewshot``, equally many of each, and
energies are less the sums of bio-small's E0s. A batch is drawn from all frames without replacement.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sizes

FRAMES = Path(__file__).parent.parent / "fewshot" / "frames" / "development"
SUFFIX = ".extxyz.xz"


class Frame(NamedTuple):
    """One labelled molecule: Å, eV, eV/Å."""

    numbers: np.ndarray
    positions: np.ndarray
    energy: float
    forces: np.ndarray


class Molecule(NamedTuple):
    """What molecular dynamics begins with: Å, u."""

    numbers: np.ndarray
    positions: np.ndarray
    masses: np.ndarray


class Problem(NamedTuple):
    """All that is measured on.

    Args:
        elements: atomic numbers, ascending.
        cutoff: in Å.
        neighbours: the mean number of neighbours within it.
        frames: all labelled molecules.
        draws: size of a batch → indices of frames, packs × batch.
        molecules: by name.
    """

    elements: tuple[int, ...]
    cutoff: float
    neighbours: float
    frames: list[Frame]
    draws: dict[int, np.ndarray]
    molecules: dict[str, Molecule]


def write(path: Path, batches: Sequence[int], seed: int = 0) -> None:
    """Write the problem; this needs kshot."""
    from kshot.atoms.e0s import e0s_from_dictionary
    from kshot.atoms.elements import elements
    from kshot.atoms.files import read_labelled
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    start = load(start_path("bio-small"))
    families = {
        file.name.removesuffix(SUFFIX): list(read_labelled(file))
        for file in sorted(FRAMES.glob(f"*{SUFFIX}"))
    }
    pool = [frame for frames in families.values() for frame in frames]
    sums = e0s_from_dictionary(dict(start.e0s)).sums([frame.structure for frame in pool])
    counts = [len(frame.structure) for frame in pool]
    arrays = {
        "elements": np.array(start.potential.elements),
        "cutoff": np.array(start.potential.cutoff),
        "neighbours": np.array(start.potential.neighbours),
        "counts": np.array(counts),
        "numbers": np.concatenate([frame.structure.numbers for frame in pool]),
        "positions": np.concatenate([frame.structure.positions for frame in pool]),
        "energy": np.array([frame.labels.energy for frame in pool]) - sums,
        "forces": np.concatenate([frame.labels.forces for frame in pool]),
    }
    rng = np.random.default_rng(seed)
    for batch in batches:
        rows = [rng.choice(len(pool), batch, replace=False) for _ in range(sizes.packs(batch))]
        arrays[f"draws/{batch}"] = np.array(rows)
    for name in sizes.MOLECULES:
        structure = families[name][0].structure
        arrays[f"molecules/{name}/numbers"] = structure.numbers
        arrays[f"molecules/{name}/positions"] = structure.positions
        arrays[f"molecules/{name}/masses"] = elements().masses[structure.numbers]
    np.savez(path, **arrays)


def read(path: Path | str) -> Problem:
    """Return what `write` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    cuts = np.cumsum(arrays["counts"])[:-1]
    columns = (np.split(arrays[name], cuts) for name in ("numbers", "positions", "forces"))
    numbers, positions, forces = columns
    rows = zip(numbers, positions, arrays["energy"].tolist(), forces, strict=True)
    prefix = "draws/"
    return Problem(
        elements=tuple(arrays["elements"].tolist()),
        cutoff=float(arrays["cutoff"]),
        neighbours=float(arrays["neighbours"]),
        frames=[Frame(*row) for row in rows],
        draws={
            int(name.removeprefix(prefix)): rows
            for name, rows in arrays.items()
            if name.startswith(prefix)
        },
        molecules={
            name: Molecule(*(arrays[f"molecules/{name}/{field}"] for field in Molecule._fields))
            for name in sizes.MOLECULES
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=list(sizes.BATCHES))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.output, options.batches, options.seed)
