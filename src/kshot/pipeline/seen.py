"""What labelled frames show a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kshot.atoms import Labelled
from kshot.potentials.coverage import coverage_of
from kshot.potentials.model import Model, Seen


def seen_in(frames: Sequence[Labelled]) -> Seen:
    """Return what labelled frames show a model."""
    levels = {one.labels.fingerprint.text for one in frames if one.labels.fingerprint}
    return Seen(
        elements=tuple(sorted({int(z) for one in frames for z in one.structure.numbers})),
        charges=tuple(sorted({one.structure.charge for one in frames})),
        multiplicities=tuple(sorted({one.structure.multiplicity for one in frames})),
        levels=tuple(sorted(levels)),
    )


def remembered(start: Model, frames: Sequence[Labelled]) -> dict[str, Any]:
    """Return what the record of an adapted model keeps of its shots: which they are, and where."""
    shots = [one.structure for one in frames]
    return {"coverage": coverage_of(shots, start.coverage).to_json()}


def one_scaffold(frames: Sequence[Labelled]) -> list[Labelled]:
    """Return the frames that have the composition and the charge of the first one."""
    kind = lambda one: (sorted(one.structure.numbers.tolist()), one.structure.charge)  # noqa: E731
    return [one for one in frames if kind(one) == kind(frames[0])]
