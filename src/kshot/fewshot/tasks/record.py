"""What a task was made of, in writing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from kshot.atoms import Labelled
from kshot.fewshot.tasks.setting import Setting, nuclei, temperature


@dataclass(frozen=True)
class FrameRecord:
    """One frame of a support or query set.

    Args:
        key: content address of its structure.
        family: it belongs to.
        trajectory: it is from; empty if it does not say.
        time: on that trajectory, in fs.
        temperature: it was sampled at, in K; None if it does not say.
        isotopes: other than the natural mixture.
        energy: total, in eV.
    """

    key: str
    family: str
    trajectory: str
    time: float
    temperature: float | None
    isotopes: str
    energy: float

    @classmethod
    def of(cls, frame: Labelled) -> FrameRecord:
        """Return the record of a frame."""
        info = frame.structure.info
        return cls(
            frame.structure.key,
            frame.structure.family,
            str(info.get("trajectory", "")),
            float(info.get("time", 0.0)),
            temperature(frame),
            nuclei(frame),
            float(frame.labels.energy),
        )


@dataclass(frozen=True)
class TaskRecord:
    """What was chosen for a task, from what, and how.

    Args:
        setting: what was asked for.
        level: the fingerprint of all its labels, as text; empty if nobody knows.
        selection: how support shots were chosen.
        gap: in fs, between support and query on one trajectory.
        seed: of all choices.
        frames: how many frames matched the setting.
        e0s: atomic number → energy taken off per atom, in eV; empty if none was.
        support: the chosen frames, in the order of the shots.
        query: likewise.
    """

    setting: Setting
    level: str
    selection: str
    gap: float
    seed: int
    frames: int
    e0s: dict[int, float]
    support: tuple[FrameRecord, ...]
    query: tuple[FrameRecord, ...]

    def to_json(self) -> str:
        """Return the record as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)
