"""Which level of theory a start is of, which its labels are of, and what lies between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kshot.atoms import Labelled
from kshot.atoms.species import formula
from kshot.potentials.model import Model, level_words


def level_of(model: Model) -> str:
    """Return a short name of the level that a model predicts; empty if nobody has stated it."""
    levels = model.seen.levels
    return level_words(levels[-1]) if levels else ""


def unlike_levels(model: Model, labelled: Sequence[Labelled]) -> list[str]:
    """Say which labels are of another level than a model predicts: that is no error of its own."""
    expected = model.seen.levels[-1:]
    texts = [one.labels.fingerprint.text for one in labelled if one.labels.fingerprint]
    others = sorted({text for text in texts if expected and text not in expected})
    if not others:
        return []
    count = sum(text in others for text in texts)
    names = ", ".join(dict.fromkeys(level_words(text) for text in others))
    same = " with other settings" if names == level_of(model) else ""
    labels = f"{count} of {len(labelled)} labels are of {names}{same}"
    return [f"{labels}, and the model predicts {level_of(model)}"]


def shifts(start: Model, adapted: Model, labelled: Sequence[Labelled]) -> dict[str, float]:
    """Return what adaptation adds to the E0s of each formula, in eV.

    Args:
        start: before.
        adapted: after.
        labelled: of whatever formulas.
    """
    added = {z: adapted.e0s[z] - energy for z, energy in start.e0s.items()}
    compositions = {formula(one.structure.numbers): one.structure.numbers for one in labelled}
    return {
        name: float(sum(added[int(z)] for z in numbers)) for name, numbers in compositions.items()
    }


def levels_sentence(record: Mapping[str, Any]) -> str:
    """Say which level the start is of and what was shifted; see `kshot.pipeline.adapt`."""
    moved = ", ".join(f"{shift:+.3f} eV of {name}" for name, shift in record["shifts_eV"].items())
    start, labels = (
        record[name] or "an unknown level of theory" for name in ("start_level", "level")
    )
    both = "start and labels are of " if start == labels else f"the start is of {start}, labels of "
    return f"{both}{labels}; the zero of energy was moved: {moved}"
