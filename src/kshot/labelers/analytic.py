"""A molecule of Morse springs: energies and forces known exactly, at no cost, for tests and pages.

The public fake: it stands for a quantum-mechanical engine wherever the machinery around engines is
tried. It can be told to take its time and to fail on a fixed share of structures.
"""

from __future__ import annotations

import time

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.atoms.elements import elements
from kshot.core.errors import InputError
from kshot.labelers.checks import believed, why_refused

DEPTH = 2.0  # eV, of one pair
WIDTH = 1.6  # 1/Å


class Analytic(Labeler):
    """Pairs of atoms in Morse wells; see `analytic`."""

    def __init__(self, *, failures: float, seconds: float) -> None:
        """Keep the settings."""
        if not (0 <= failures <= 1 and seconds >= 0):
            raise InputError(
                "failures between 0 and 1, and seconds ≥ 0",
                f"{failures} and {seconds}",
                "failures is a share of all structures.",
            )
        self._failures, self._seconds = failures, seconds
        settings = {"failures": failures} if failures else {}
        self._fingerprint = Fingerprint("kshot", "1", "Morse", settings=settings)

    @property
    def fingerprint(self) -> Fingerprint:
        """Failures are part of it; the time it takes is not."""
        return self._fingerprint

    def label(self, structure: Structure) -> Labels | Failure:
        """Return the sum over pairs, E = Σ D [(1 − e^{−a(r − r₀)})² − 1], and its derivative."""
        if refused := why_refused(structure):
            return refused
        if structure.is_periodic:
            return Failure("refused", "the analytic engine has no periodic cells")
        if self._seconds:
            time.sleep(self._seconds)
        # The key decides: the same structure always fails, in any order, in any process.
        if int(structure.key[:8], 16) < self._failures * 16**8:
            return Failure("not converged", "a failure that was asked for")
        return believed(self._labels(structure))

    def _labels(self, structure: Structure) -> Labels:
        radii = np.nan_to_num(elements().radii, nan=0.7)[structure.numbers]
        i, j = np.triu_indices(len(structure), 1)
        vectors = structure.positions[j] - structure.positions[i]
        lengths = np.linalg.norm(vectors, axis=1)
        decay = np.exp(-WIDTH * (lengths - radii[i] - radii[j]))
        energy = float(np.sum(DEPTH * ((1 - decay) ** 2 - 1)))
        slope = 2 * DEPTH * WIDTH * (1 - decay) * decay
        pull = (slope / lengths)[:, None] * vectors
        forces = np.zeros_like(structure.positions)
        np.add.at(forces, i, pull)
        np.add.at(forces, j, -pull)
        return Labels(energy, forces, fingerprint=self.fingerprint)


def analytic(*, failures: float = 0.0, seconds: float = 0.0) -> Analytic:
    """Return the analytic engine.

    Args:
        failures: share of structures whose electrons, as it were, do not converge.
        seconds: how long each label takes.
    """
    return Analytic(failures=failures, seconds=seconds)


def example_analytic() -> Analytic:
    """Return the instance the contract tests run."""
    return analytic()
