"""Does an engine still give what the ledger says it gave?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels
from kshot.core.bars import bar
from kshot.core.errors import InputError
from kshot.core.seeds import named_generator
from kshot.labelers.ledger.rows import Row
from kshot.labelers.ledger.store import Ledger

ENERGY_TOLERANCE = 1e-5  # eV
FORCE_TOLERANCE = 1e-4  # eV/Å


class Verdict(NamedTuple):
    """What came of one recomputed label.

    Args:
        row: what the ledger has.
        again: what the engine says now.
        energy: difference in eV; NaN if it failed.
        force: largest difference of a component, in eV/Å; NaN if it failed.
    """

    row: Row
    again: Labels | Failure
    energy: float
    force: float

    @property
    def holds(self) -> bool:
        """Whether the label is the same."""
        return self.energy <= ENERGY_TOLERANCE and self.force <= FORCE_TOLERANCE


def verify(
    ledger: Ledger,
    engine: Callable[[Fingerprint], Labeler],
    fingerprint: Fingerprint | None = None,
    *,
    sample: int = 10,
    seed: int = 0,
    progress: bool = True,
) -> list[Verdict]:
    """Recompute a random sample of good labels; the ledger stays as it is.

    Args:
        ledger: where they are.
        engine: gives the labeler of a level of theory.
        fingerprint: which level to take; None: all.
        sample: how many labels.
        seed: of the choice.
        progress: False shows nothing.
    """
    good = [row for row in ledger.rows(fingerprint) if isinstance(row.result, Labels)]
    if not good:
        raise InputError("good labels to verify", f"none in {ledger.path}", "Label first.")
    chooser = named_generator(seed, "verify")
    places = np.sort(chooser.choice(len(good), min(sample, len(good)), replace=False))
    verdicts = []
    with bar("verifying", len(places), show=progress) as advance:
        for row in (good[place] for place in places):
            verdicts.append(_compare(row, engine(row.fingerprint)))
            advance(1, f"{_wrong(verdicts)} wrong")
    return verdicts


def _compare(row: Row, labeler: Labeler) -> Verdict:
    again = labeler.label(row.structure)
    if isinstance(again, Failure) or isinstance(row.result, Failure):
        return Verdict(row, again, float("nan"), float("nan"))
    force = float(np.abs(again.forces - row.result.forces).max(initial=0.0))
    return Verdict(row, again, abs(again.energy - row.result.energy), force)


def _wrong(verdicts: Sequence[Verdict]) -> int:
    return sum(not verdict.holds for verdict in verdicts)
