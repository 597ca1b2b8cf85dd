"""Which K of the frames become shots: at random, diverse, or spread over energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kshot.atoms import Labelled
from kshot.atoms.descriptors import descriptors, farthest_points
from kshot.core.registry import Registry

selections = Registry(
    "selection",
    {
        "diverse": "kshot.fewshot.tasks.select:diverse",
        "random": "kshot.fewshot.tasks.select:at_random",
        "stratified_energy": "kshot.fewshot.tasks.select:stratified_energy",
    },
)
"""Ways to choose shots, by name: functions ``(frames, k, rng) -> places of the chosen``."""


def at_random(frames: Sequence[Labelled], k: int, rng: np.random.Generator) -> list[int]:
    """Choose ``k`` frames at random, none twice."""
    return rng.choice(len(frames), k, replace=False).tolist()


def diverse(frames: Sequence[Labelled], k: int, rng: np.random.Generator) -> list[int]:
    """Choose ``k`` frames, each as unlike as possible to those before (farthest point).

    Alike is by `kshot.atoms.descriptors`; labels are not looked at, so this can choose what to
    label.
    """
    points = descriptors([frame.structure for frame in frames])
    return farthest_points(points, k, seed=int(rng.integers(2**31))).tolist()


def stratified_energy(frames: Sequence[Labelled], k: int, rng: np.random.Generator) -> list[int]:
    """Choose one frame at random from each of ``k`` equally full ranges of energy.

    Energies are compared within one composition, charge and spin: what is ranged is a frame's place
    among its likes.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, frame in enumerate(frames):
        s = frame.structure
        kind = (*sorted(s.numbers.tolist()), s.charge, s.multiplicity)
        groups.setdefault(kind, []).append(i)
    place = np.zeros(len(frames))
    for members in groups.values():
        order = np.argsort([frames[i].labels.energy for i in members], kind="stable")
        place[np.array(members)[order]] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.argsort(place + 1e-9 * rng.random(len(place)), kind="stable")
    return [int(rng.choice(stratum)) for stratum in np.array_split(order, k)]
