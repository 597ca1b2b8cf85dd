"""Published sets of labels as families of a study: which files, what tells them, what is tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase.io import iread

from kshot.atoms import Labelled, Labels
from kshot.atoms.elements import symbol
from kshot.atoms.files import read_labelled, read_structures
from kshot.atoms.reading import BARE, Reading
from kshot.core.errors import DataError
from kshot.core.seeds import named_generator
from kshot.pipeline.study import Pool

TEST = 100  # frames of a test set: evaluation stays cheap, and their choice is fixed by a seed
CLOSE = 0.01  # eV: energies of files that were converted differ by their constants' last digits
MOST = 5000  # frames: none of these files has more
DOWNLOAD = "benchmarks/published/README.md says where it is from."


class Source(NamedTuple):
    """A published file, and what tells that it is the one that is meant, and whole.

    Args:
        file: its name.
        formula: of every frame.
        frames: how many.
        lowest: energy in eV; with the highest it tells level of theory and units.
        highest: energy in eV.
        forces: whether it has forces; a scan of energies has none.
    """

    file: str
    formula: str
    frames: int
    lowest: float
    highest: float
    forces: bool = True


class Published(NamedTuple):
    """A published set.

    Args:
        level: of theory.
        shots: what shots are drawn from.
        tests: test sets by name, the nearest to the shots first. Where one is the source of the
            shots, its test frames are chosen first, and no shot is among them.
    """

    level: str
    shots: Source
    tests: Mapping[str, Source]


ACAC = "C5H8O2"
BPA = Source("3bpa_train_300K.xyz", "C12H12N2O", 500, -17660.8139, -17659.7661)
ETHANOL = Source("ethanol_ccsdt.xyz", "C2H6O", 1000, -4210.4557, -4209.1226)
SETS: Mapping[str, Published] = {
    "acac": Published(
        "PBE-D3/def2-SVP",
        Source("acac_train_300K.xyz", ACAC, 500, -9391.7642, -9390.9034),
        {
            "acac, 300 K": Source("acac_test_300K.xyz", ACAC, 650, -9391.81, -9390.7603),
            "acac, 600 K": Source("acac_test_600K.xyz", ACAC, 650, -9391.625, -9389.9339),
            "acac, torsion": Source(
                "acac_test_dihedral.xyz", ACAC, 45, -9391.9271, -9390.8327, False
            ),
            "acac, proton transfer": Source(
                "acac_test_H_transfer.xyz", ACAC, 15, -9392.076, -9392.0619, False
            ),
        },
    ),
    "3bpa": Published(
        "ωB97X/6-31G(d)",
        BPA,
        {
            "3bpa, 300 K": BPA,
            "3bpa, mixed temperatures": Source(
                "3bpa_train_mixedT.xyz", "C12H12N2O", 500, -17660.7941, -17655.6368
            ),
        },
    ),
    "ethanol": Published("CCSD(T)/cc-pVTZ", ETHANOL, {"ethanol, 500 K": ETHANOL}),
    "aspirin": Published(
        "PBE/def2-SVP",
        Source("aspirin_train.xyz", "C9H8O4", 1200, -17618.452, -17616.734),
        {"aspirin, 500 K": Source("aspirin_test.xyz", "C9H8O4", 1800, -17618.5599, -17616.6979)},
    ),
}


def published_pool(name: str, folder: Path) -> Pool:
    """Return a published set as a family of a study, from a folder of the user's.

    Args:
        name: of the set.
        folder: with its files.

    Raises:
        DataError: a file is missing, truncated, or is not the published one.
    """
    wanted = SETS[name]
    files = {source: read(folder, source) for source in {wanted.shots, *wanted.tests.values()}}
    # a geometry that a shot might be is no test, and none is a shot twice.
    shots = unlike(files[wanted.shots], [])
    tests = {}
    for test, source in wanted.tests.items():
        others = [] if source == wanted.shots else shots
        tests[test] = tuple(chosen(unlike(files[source], others), source))
    watched = [frame for frames in tests.values() for frame in frames]
    return Pool(name, tuple(unlike(shots, watched)), tests)


def read(folder: Path, source: Source) -> list[Labelled]:
    """Return the frames of a published file; those of a scan have forces of NaN.

    Raises:
        DataError: it is missing, truncated, or is not the published one.
    """
    path = folder / source.file
    if not path.is_file():
        raise DataError(source.file, f"no such file in {folder}", DOWNLOAD)
    if source.forces:
        frames = list(islice(read_labelled(path, Reading(keys=BARE)), MOST))
    else:
        frames = read_scan(path)
    got = [f"{path}:"]
    if len(frames) != source.frames:
        got.append(f"{len(frames)} frames")
    if others := {formula(frame) for frame in frames} - {source.formula}:
        got.append(f"frames of {', '.join(sorted(others))}")
    energies = [frame.labels.energy for frame in frames] or [np.nan]
    ends = min(energies), max(energies)
    if not np.allclose(ends, (source.lowest, source.highest), rtol=0, atol=CLOSE):
        got.append(f"energies from {ends[0]:.4f} to {ends[1]:.4f} eV")
    if len(got) > 1:
        what = (
            f"{source.file} as published: {source.frames} frames of {source.formula}, energies"
            f" from {source.lowest:.4f} to {source.highest:.4f} eV"
        )
        raise DataError(what, " ".join(got), f"It is truncated or another file. {DOWNLOAD}")
    return frames


def read_scan(path: Path) -> list[Labelled]:
    """Return the frames of a scan, which has energies and no forces.

    Raises:
        DataError: a frame cannot be read, or has no energy.
    """
    structures = list(islice(read_structures(path), MOST))
    try:
        energies = [atoms.get_potential_energy() for atoms in iread(path, format="extxyz")]
    except RuntimeError as error:
        raise DataError("energies", f"{path}: {error}", DOWNLOAD) from error
    return [
        Labelled(structure, Labels(float(energy), np.full((len(structure), 3), np.nan)))
        for structure, energy in zip(structures, energies, strict=True)
    ]


def formula(frame: Labelled) -> str:
    """Return a formula: carbon, hydrogen, then by the alphabet."""
    counts = Counter(symbol(int(number)) for number in frame.structure.numbers)
    order = sorted(counts, key=lambda name: (name != "C", name != "H", name))
    return "".join(f"{name}{counts[name] if counts[name] > 1 else ''}" for name in order)


def unlike(frames: Sequence[Labelled], others: Sequence[Labelled]) -> list[Labelled]:
    """Return frames of which each stands once, and none among others, by their geometries."""
    seen = {frame.structure.key for frame in others}
    kept = []
    for frame in frames:
        if frame.structure.key not in seen:
            seen.add(frame.structure.key)
            kept.append(frame)
    return kept


def chosen(frames: Sequence[Labelled], source: Source) -> list[Labelled]:
    """Return the test frames of a source: all of a scan, else a random choice that is fixed."""
    if len(frames) <= TEST:
        return list(frames)
    order = named_generator(0, f"published {source.file}").permutation(len(frames))
    return [frames[place] for place in np.sort(order[:TEST])]
