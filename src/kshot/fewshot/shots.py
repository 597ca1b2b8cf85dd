"""The K labelled frames, ready to be predicted again and again, and the shifts they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, PyTree

from kshot.fewshot.jacobian import Rows
from kshot.fewshot.least_squares import Fit
from kshot.potentials.compare import RIDGE
from kshot.potentials.model import Model
from kshot.potentials.model_predict import Prepared, prepare
from kshot.potentials.packed import Piece

LOST = 1e3  # eV, eV/Å: what a prediction is off by that is not finite; no other method is so wrong


@dataclass(frozen=True, eq=False)
class Shots:
    """The K labelled frames, ready to be predicted by models of one potential.

    Args:
        start: the model they adapt.
        frames: with their labels.
        prepared: the same for prediction.
        rows: the start linearised on them.
    """

    start: Model
    frames: tuple[Piece, ...]
    prepared: Prepared
    rows: Rows

    def residuals(self, move: Float[np.ndarray, " params"]) -> Float[np.ndarray, " rows"]:
        """Return the moved model's prediction less label, without shifts, in the rows' order."""
        rows, predicted = self.rows, self.prepared.predict(moved(self.start.params, move))
        out = np.empty(len(rows.frame))
        for number, (frame, (energy, forces)) in enumerate(
            zip(self.frames, predicted, strict=True)
        ):
            of_frame = rows.frame == number
            out[of_frame & rows.is_energy] = energy - frame.energy
            along = np.einsum("mac,ac->m", rows.ways[number], forces - frame.forces)
            if np.isfinite(frame.forces).all():
                out[of_frame & ~rows.is_energy] = along
        return np.nan_to_num(out, nan=LOST, posinf=LOST, neginf=-LOST)


def shots(start: Model, frames: Sequence[Piece], rows: Rows) -> Shots:
    """Return labelled frames ready to be predicted."""
    prepared = prepare(start.potential, [frame.graph for frame in frames])
    return Shots(start, tuple(frames), prepared, rows)


def moved(params: PyTree, move: Float[np.ndarray, " params"]) -> PyTree:
    """Return parameters moved by a flat step; in NumPy, as JAX takes a call for every leaf."""
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, params))
    parts = np.split(move, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(
        structure,
        [
            leaf + part.reshape(leaf.shape).astype(leaf.dtype)
            for leaf, part in zip(leaves, parts, strict=True)
        ],
    )


def shifted_by(rows: Rows, fit: Fit) -> Float[np.ndarray, " rows"]:
    """Return what a fit's shifts of elements add to each row."""
    return np.where(rows.is_energy, rows.counts[rows.frame] @ fit.shifts, 0.0)


def with_shifts(
    rows: Rows, fit: Fit, residual: Float[np.ndarray, " rows"], kept: np.ndarray
) -> Fit:
    """Return the fit with the shifts that the true model needs: it is not quite linear.

    Args:
        rows: labelled.
        fit: whose shifts are added to.
        residual: of the true model, less shifts.
        kept: frames that the shifts are fitted to.
    """
    energies = rows.is_energy & np.isin(rows.frame, kept)
    counts = rows.counts[rows.frame[energies]]
    atoms = counts.sum(1, keepdims=True)
    off = (residual + shifted_by(rows, fit))[energies] / atoms[:, 0]
    normal = (counts / atoms).T @ (counts / atoms) + RIDGE * np.eye(counts.shape[1])
    more = -np.linalg.solve(normal, (counts / atoms).T @ off)
    return fit._replace(shifts=fit.shifts + more)


def unmoved_fit(task: Shots, without: Sequence[int] | np.ndarray = ()) -> Fit:
    """Return the fit that moves nothing but the shifts, to all labels or without some frames."""
    rows = task.rows
    still = Fit(np.zeros(rows.jacobian.shape[1]), np.zeros(rows.counts.shape[1]))
    kept = np.setdiff1d(np.arange(len(task.frames)), without)
    return with_shifts(rows, still, rows.residual, kept)
