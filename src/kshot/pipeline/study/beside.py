"""A cheaper level of theory as a contestant: its own energies and forces, and a shift per element.

Where labels are of a higher level, a start that was trained on the cheaper one has to beat that one
itself, whose only parameters are the constants that the shots give it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from kshot.atoms import Failure, Labelled, Labels
from kshot.core.errors import DataError
from kshot.labelers import Ledger, label_all, labeler
from kshot.pipeline.evaluate import rms
from kshot.pipeline.study.frames import Draw
from kshot.pipeline.study.jobs import Job, Row, is_scan
from kshot.potentials.model import Model


def beside(engine: str, model: Model, ledger: Path) -> Job:
    """Return an engine as a contestant.

    Args:
        engine: as `kshot.labelers.labeler` takes it.
        model: the start; it is not looked at.
        ledger: where the engine's labels are kept.
    """

    def run(model: Model, draw: Draw, shots: tuple[int, ...]) -> list[Row]:
        del model
        return [row for k in shots for row in _rows(engine, ledger, draw, k)]

    options = {"engine": labeler(engine).fingerprint.text}
    return Job(
        engine.replace(":", "-").replace("/", "-"),
        model,
        run,
        options=options,
        sources=(Path(__file__),),
    )


def _rows(engine: str, ledger: Path, draw: Draw, k: int) -> list[Row]:
    shots = draw.shots[:k]
    off = _energies_off(shots, _labels(engine, ledger, shots))
    kinds = sorted({int(number) for frame in shots for number in frame.structure.numbers})
    shifts = np.linalg.lstsq(_counts(shots, kinds), off, rcond=None)[0]
    rows = []
    for name, frames in draw.tests.items():
        labels = _labels(engine, ledger, frames)
        energies = _energies_off(frames, labels) - _counts(frames, kinds) @ shifts
        if is_scan(frames):
            energies -= energies.mean()
        forces = np.concatenate(
            [
                theirs.forces - frame.labels.forces
                for theirs, frame in zip(labels, frames, strict=True)
            ]
        )
        errors = {"energy": rms(energies), "forces": rms(forces)}
        rows.append({"method": f"{engine} + shift", "k": k, "test": name, **errors})
    return rows


def _labels(engine: str, ledger: Path, frames: Sequence[Labelled]) -> list[Labels]:
    ledger.parent.mkdir(parents=True, exist_ok=True)
    structures = [frame.structure for frame in frames]
    with Ledger(ledger) as book:
        results = label_all(structures, labeler(engine), book, progress=False)
    labels = [result for result in results if not isinstance(result, Failure)]
    if len(labels) < len(results):
        failure = next(result for result in results if isinstance(result, Failure))
        got = f"{len(results) - len(labels)} failures: {failure.detail}"
        raise DataError(f"labels of {engine} for all frames", got, "Leave the engine out.")
    return labels


def _energies_off(
    frames: Sequence[Labelled], labels: Sequence[Labels]
) -> Float[np.ndarray, " frames"]:
    return np.array(
        [theirs.energy - frame.labels.energy for theirs, frame in zip(labels, frames, strict=True)]
    )


def _counts(frames: Sequence[Labelled], kinds: Sequence[int]) -> Float[np.ndarray, "frames kinds"]:
    return np.array(
        [(frame.structure.numbers[:, None] == kinds).sum(0) for frame in frames], np.float64
    )
