"""What labelled frames show a model."""

from __future__ import annotations

from collections.abc import Sequence

from kshot.atoms import Labelled
from kshot.potentials.model import Seen


def seen_in(frames: Sequence[Labelled]) -> Seen:
    """Return what labelled frames show a model."""
    levels = {one.labels.fingerprint.text for one in frames if one.labels.fingerprint}
    return Seen(
        elements=tuple(sorted({int(z) for one in frames for z in one.structure.numbers})),
        charges=tuple(sorted({one.structure.charge for one in frames})),
        multiplicities=tuple(sorted({one.structure.multiplicity for one in frames})),
        levels=tuple(sorted(levels)),
    )


def one_scaffold(frames: Sequence[Labelled]) -> list[Labelled]:
    """Return the frames that have the composition and the charge of the first one."""
    kind = lambda one: (sorted(one.structure.numbers.tolist()), one.structure.charge)  # noqa: E731
    return [one for one in frames if kind(one) == kind(frames[0])]
