"""Prediction beside labels, whatever the layout of the data: what a loss is made of."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

RIDGE = 1e-6  # of the normal equations of the shift: a fixed composition leaves them singular


class Compared(NamedTuple):
    """Predictions less labels.

    Args:
        energy: of each structure, in eV.
        known: whether its energy is labelled.
        counts: how many atoms of each of the potential's elements it has.
        forces: of each atom, in eV/Å.
        felt: whether an atom is real and its forces are labelled.
    """

    energy: Float[Array, " structures"]
    known: Bool[Array, " structures"]
    counts: Float[Array, "structures kinds"]
    forces: Float[Array, "*atoms 3"]
    felt: Bool[Array, "*atoms"]

    @property
    def atoms(self) -> Float[Array, " structures"]:
        """How many atoms each structure has; at least one."""
        return jnp.maximum(self.counts.sum(axis=1), 1)

    def shift(self) -> Float[Array, " structures"]:
        """Return the sum over atoms of a shift per element that best cancels energy differences.

        Ridge regression of differences per atom on compositions. With one composition it is the
        one constant that a level of theory differs by; a gradient step never has to learn it.
        """
        return self.counts @ self.shifts()

    def shifts(self) -> Float[Array, " kinds"]:
        """Return that shift of each element, in eV."""
        per_atom = self.counts / self.atoms[:, None]
        rows = jnp.where(self.known[:, None], per_atom, 0)
        target = jnp.where(self.known, self.energy / self.atoms, 0)
        normal = rows.T @ rows + RIDGE * jnp.eye(rows.shape[1], dtype=rows.dtype)
        return -jnp.linalg.solve(normal, rows.T @ target)


def element_counts(
    numbers: Int[Array, "*batch atoms"], elements: tuple[int, ...], dtype: jnp.dtype
) -> Float[Array, "*batch atoms kinds"]:
    """Return, for each atom, a row with a one where its element is; zeros for padding."""
    return (numbers[..., None] == jnp.asarray(elements, numbers.dtype)).astype(dtype)
