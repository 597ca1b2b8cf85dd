"""How good a model is on labelled structures it has not seen: nothing is fitted to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from kshot.atoms import Labelled
from kshot.core.errors import DataError
from kshot.core.units import KCAL_PER_MOL
from kshot.pipeline.levels import unlike_levels
from kshot.potentials.model import Model


@dataclass(frozen=True)
class Evaluation:
    """Errors on a test set.

    Args:
        frames: of the test set.
        energy_rmse_eV: of total energies, with the shift stored at adaptation; none is fitted here.
        energy_rmse_eV_per_atom: the same per atom.
        energy_rmse_centred_eV: after one constant per composition fitted *on this set*: says what a
            wrong shift would hide. Not to be reported as the error.
        force_rmse_eV_per_A: per component.
        force_mae_eV_per_A: per component.
        force_cosine: mean cosine between predicted and labelled force on an atom.
        frames_seen_in_adaptation: frames that the model was adapted to: their errors are no test.
        frames_beyond_shots: frames that leave what the shots of the adaptation cover.
        warnings: what to know before the errors are believed.
    """

    frames: int
    energy_rmse_eV: float  # noqa: N815 - the unit keeps its letters
    energy_rmse_eV_per_atom: float  # noqa: N815
    energy_rmse_centred_eV: float  # noqa: N815
    force_rmse_eV_per_A: float  # noqa: N815
    force_mae_eV_per_A: float  # noqa: N815
    force_cosine: float
    frames_seen_in_adaptation: int = 0
    frames_beyond_shots: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def energy_rmse_kcal_per_mol(self) -> float:
        """The energy error in kcal/mol."""
        return self.energy_rmse_eV / KCAL_PER_MOL

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "energy_rmse_kcal_per_mol": self.energy_rmse_kcal_per_mol}


def evaluate(
    model: Model, labelled: Sequence[Labelled], *, allow: Collection[str] = ()
) -> Evaluation:
    """Return a model's errors on labelled structures.

    Args:
        model: any.
        labelled: energies in eV and forces in eV/Å.
        allow: which kinds the model has not seen are let through, see `Model.refuse`.

    Raises:
        DataError: no frames.
    """
    if not labelled:
        raise DataError("labelled structures", "none", "Give an extxyz file with labels.")
    predicted = model.predict([one.structure for one in labelled], allow=allow)
    off = np.array(
        [p.energy - one.labels.energy for p, one in zip(predicted, labelled, strict=True)]
    )
    atoms = np.array([len(one.structure) for one in labelled])
    ours = np.concatenate([one.forces for one in predicted])
    theirs = np.concatenate([one.labels.forces for one in labelled])
    return Evaluation(
        len(labelled),
        rms(off),
        rms(off / atoms),
        rms(_centred(off, labelled)),
        rms(ours - theirs),
        float(np.abs(ours - theirs).mean()),
        _cosine(ours, theirs),
        *_beside_the_shots(model, labelled),
    )


def _beside_the_shots(
    model: Model, labelled: Sequence[Labelled]
) -> tuple[int, int, tuple[str, ...]]:
    """Return how many frames were adapted to, how many leave the shots, and what to know first."""
    coverage, frames = model.coverage, [one.structure for one in labelled]
    warnings = unlike_levels(model, labelled)
    if coverage is None:
        return 0, 0, tuple(warnings)
    seen = sum(coverage.has_seen(frame) for frame in frames)
    ways = [departures for frame in frames if (departures := coverage.departures(frame))]
    if seen:
        text = "the model was adapted to them, and their errors are no test"
        warnings.append(f"{seen} of {len(frames)} frames were seen in adaptation: {text}")
    for kind in dict.fromkeys(way.kind for departures in ways for way in departures):
        words = [way.words for departures in ways for way in departures if way.kind == kind]
        example = f"; first: {words[0]}"
        warnings.append(f"{len(words)} of {len(frames)} frames leave the shots by {kind}{example}")
    return seen, len(ways), tuple(warnings)


class Errors(NamedTuple):
    """Root mean square errors: of total energies in eV, of force components in eV/Å."""

    energy: float
    forces: float


class Comparison(NamedTuple):
    """Several models on the same frames: their errors, and pairs for a parity plot."""

    errors: dict[str, Errors]
    parity: dict[str, dict[str, list[float]]]


def compare(models: Mapping[str, Model], test: Sequence[Labelled]) -> Comparison:
    """Return errors of models on labelled frames; nothing is fitted to these.

    Args:
        models: by name.
        test: energies in eV, of the level of theory that the models are for.
    """
    structures = [frame.structure for frame in test]
    energies = np.array([frame.labels.energy for frame in test])
    forces = np.concatenate([frame.labels.forces for frame in test])
    errors: dict[str, Errors] = {}
    parity = {
        "energy": {"label": (energies - energies.mean()).tolist()},
        "forces": {"label": forces.ravel().tolist()},
    }
    for name, model in models.items():
        predictions = model.predict(structures, allow=("charges", "multiplicities", "levels"))
        residual = np.array([prediction.energy for prediction in predictions]) - energies
        predicted = np.concatenate([prediction.forces for prediction in predictions])
        errors[name] = Errors(rms(residual), rms(predicted - forces))
        parity["energy"][name] = (energies + residual - energies.mean()).tolist()
        parity["forces"][name] = predicted.ravel().tolist()
    return Comparison(errors, parity)


def rms(values: Float[np.ndarray, "*any"]) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def _centred(
    off: Float[np.ndarray, " frames"], labelled: Sequence[Labelled]
) -> Float[np.ndarray, " frames"]:
    kinds = [tuple(np.sort(one.structure.numbers)) for one in labelled]
    left = off.copy()
    for kind in set(kinds):
        here = np.array([one == kind for one in kinds])
        left[here] -= off[here].mean()
    return left


def _cosine(ours: Float[np.ndarray, "atoms 3"], theirs: Float[np.ndarray, "atoms 3"]) -> float:
    sizes = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(np.mean(np.einsum("ac,ac->a", ours, theirs) / np.maximum(sizes, 1e-12)))
