"""Frames as padded arrays with a leading axis of shots, from which a potential makes its graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32

from kshot.atoms import Labelled
from kshot.core.errors import TaskError

COARSE = 1e-4  # eV: energies must be kept better than this


class Shots(NamedTuple):
    """Labelled frames, padded to equal numbers of atoms; a pytree with leading axis shots.

    Args:
        numbers: atomic numbers; 0 where there is no atom.
        positions: in Å; 0 where there is no atom.
        mask: whether there is an atom.
        charge: in elementary charges.
        multiplicity: 2S + 1.
        energy: in eV, less the sum of the atoms' E0s if these were given.
        forces: in eV/Å; 0 where there is no atom.
    """

    numbers: Int32[np.ndarray, "shots atoms"]
    positions: Float[np.ndarray, "shots atoms 3"]
    mask: Bool[np.ndarray, "shots atoms"]
    charge: Int32[np.ndarray, " shots"]
    multiplicity: Int32[np.ndarray, " shots"]
    energy: Float[np.ndarray, " shots"]
    forces: Float[np.ndarray, "shots atoms 3"]


def stack_shots(
    frames: Sequence[Labelled],
    *,
    size: int | None = None,
    e0s: Mapping[int, float] | None = None,
    dtype: Any = np.float32,  # noqa: ANN401 - NumPy's DTypeLike is no class
) -> Shots:
    """Return frames as padded arrays.

    Args:
        frames: at least one.
        size: number of atoms to pad to; that of the largest frame if None. Tasks that are to be
            stacked need the same.
        e0s: atomic number → energy of the isolated atom in eV. The sum is taken off in float64
            here, so that single precision sees small numbers.
        dtype: of positions, energies and forces.

    Raises:
        TaskError: no frames, one larger than ``size``, one of an element without E0, or energies
            too large for the precision asked for.
    """
    if not frames:
        raise TaskError("at least one frame", "none", "Choose some.")
    largest = max(len(frame.structure) for frame in frames)
    width = largest if size is None else size
    if largest > width:
        todo = "Pad to the largest of all tasks."
        raise TaskError(f"frames of at most size = {width} atoms", f"one of {largest}", todo)
    kind, count = np.dtype(dtype), len(frames)
    shots = Shots(
        numbers=np.zeros((count, width), np.int32),
        positions=np.zeros((count, width, 3), kind),
        mask=np.zeros((count, width), bool),
        charge=np.array([frame.structure.charge for frame in frames], np.int32),
        multiplicity=np.array([frame.structure.multiplicity for frame in frames], np.int32),
        energy=_energies(frames, e0s, kind),
        forces=np.zeros((count, width, 3), kind),
    )
    for row, (structure, labels) in enumerate(frames):
        atoms = len(structure)
        shots.numbers[row, :atoms] = structure.numbers
        # Centred, as float32 has little to spare far from the origin; forces do not notice.
        shots.positions[row, :atoms] = structure.positions - structure.positions.mean(0)
        shots.mask[row, :atoms] = True
        shots.forces[row, :atoms] = labels.forces
    return shots


def _energies(
    frames: Sequence[Labelled], e0s: Mapping[int, float] | None, kind: np.dtype
) -> Float[np.ndarray, " shots"]:
    energies = np.array([frame.labels.energy for frame in frames], np.float64)
    if e0s is not None:
        missing = {z for f in frames for z in f.structure.numbers.tolist()} - set(e0s)
        if missing:
            got = f"none for atomic numbers {sorted(missing)}"
            raise TaskError("an E0 for every element", got, "Add them to `e0s`.")
        energies -= [sum(e0s[z] for z in f.structure.numbers.tolist()) for f in frames]
    coarse = float(np.spacing(np.abs(energies).max().astype(kind)))
    if coarse > COARSE:
        got = (
            f"|E| up to {np.abs(energies).max():.0f} eV, which {kind} keeps to {coarse:.1g} eV only"
        )
        todo = "Give `e0s`, or dtype=np.float64 with JAX's 64-bit mode."
        raise TaskError(f"energies that {kind} keeps to {COARSE:g} eV", got, todo)
    return energies.astype(kind)
