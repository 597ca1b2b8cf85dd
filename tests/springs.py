"""Molecules of Morse springs for tests of guarantees: everything is exact, small and quick."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from kshot.atoms import Labelled, Labels
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.jacobian import rows
from kshot.fewshot.shots import Shots, shots
from kshot.labelers import labeler
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from methanol import METHANOL

ELEMENTS = (1, 6, 8)


def start(seed: int = 0) -> Model:
    """An untrained Morse potential of three elements."""
    potential = potentials.get("morse")(ELEMENTS)
    params = potential.init(jax.random.key(seed))
    return Model(potential, params, {1: -1.0, 6: -2.0, 8: -3.0}, Seen(ELEMENTS))


def rattled(count: int, seed: int = 0, trajectory: str = "a") -> list[Labelled]:
    """Rattled methanol with the labels of the analytic engine."""
    rng, engine = np.random.default_rng(seed), labeler("analytic")
    frames = [
        METHANOL.replace(
            positions=METHANOL.positions + 0.05 * rng.standard_normal((6, 3)),
            info={"trajectory": trajectory},
        )
        for _ in range(count)
    ]
    return [Labelled(frame, engine.label(frame)) for frame in frames]


def poisoned(frames: Sequence[Labelled], which: Sequence[int], energy: float) -> list[Labelled]:
    """The same frames, some of whose labels are wrong: energies by so many eV, forces doubled."""
    return [
        Labelled(one.structure, Labels(one.labels.energy + energy, 2 * one.labels.forces))
        if number in which
        else one
        for number, one in enumerate(frames)
    ]


def ready(model: Model, frames: Sequence[Labelled]) -> Shots:
    """Frames linearised on a model, ready to be judged."""
    pieces = to_pieces(model, frames)
    return shots(model, pieces, rows(model.potential, model.params, pieces))
