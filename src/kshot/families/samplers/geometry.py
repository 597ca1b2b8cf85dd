"""Who is bonded to whom, and how far two configurations are apart once they are turned alike."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

BONDED = 1.25  # times the sum of covalent radii


def distances(
    positions: Float64[np.ndarray, "atoms 3"],
) -> Float64[np.ndarray, "atoms atoms"]:
    """Return the distance of every pair, in Å."""
    return np.linalg.norm(positions[:, None] - positions[None], axis=-1)


def bond_lengths(numbers: np.ndarray) -> Float64[np.ndarray, "atoms atoms"]:
    """Return the sum of covalent radii of every pair, in Å (Cordero and co-workers 2008)."""
    from ase.data import covalent_radii

    radii = covalent_radii[numbers]
    return radii[:, None] + radii[None]


def bonds(
    numbers: np.ndarray, positions: Float64[np.ndarray, "atoms 3"]
) -> Bool[np.ndarray, "atoms atoms"]:
    """Return which pairs are bonded, by distance: nearer than 1.25 times the sum of radii."""
    near = distances(positions) < BONDED * bond_lengths(numbers)
    return near & ~np.eye(len(numbers), dtype=bool)


def aligned_rmsd(
    frames: Float64[np.ndarray, "frames atoms 3"], other: Float64[np.ndarray, "atoms 3"]
) -> Float64[np.ndarray, " frames"]:
    """Return the root mean square distance of each frame to ``other``, at best in Å.

    At best over translations and proper rotations (Kabsch 1976); atoms keep their order, so that
    exchanging two equal atoms counts as a difference.
    """
    a = frames - frames.mean(1, keepdims=True)
    b = other - other.mean(0)
    cross = np.einsum("fai,aj->fij", a, b)
    singular = np.linalg.svd(cross, compute_uv=False)
    singular[:, 2] *= np.sign(np.linalg.det(cross))
    rest = (a**2).sum((1, 2)) + (b**2).sum() - 2 * singular.sum(1)
    return np.sqrt(np.maximum(rest, 0) / len(other))
