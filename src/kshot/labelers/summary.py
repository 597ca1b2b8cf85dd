"""What a ledger holds, level by level."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kshot.atoms import Failure, Fingerprint
from kshot.labelers.ledger import Ledger


@dataclass
class Summary:
    """Rows of one level of theory.

    Args:
        fingerprint: the level.
        good: labels.
        failures: how many of each reason.
        cost: CPU seconds.
        first: when the first row was made, in seconds since 1970.
        last: when the last one was.
        atoms: of all structures with good labels.
    """

    fingerprint: Fingerprint
    good: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    cost: float = 0.0
    first: float = float("inf")
    last: float = 0.0
    atoms: int = 0


def summaries(ledger: Ledger) -> list[Summary]:
    """Return what a ledger holds of each level of theory."""
    found: dict[str, Summary] = {}
    for row in ledger.rows():
        level = found.setdefault(row.fingerprint.digest, Summary(row.fingerprint))
        level.cost += row.cost
        level.first, level.last = min(level.first, row.made), max(level.last, row.made)
        if isinstance(row.result, Failure):
            level.failures[row.result.reason] += 1
        else:
            level.good += 1
            level.atoms += len(row.structure)
    return list(found.values())
