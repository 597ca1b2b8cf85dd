"""Rates and weights of the gradient contestants, as `tune.py` finds them on development families.

A file of its own: what is tuned for one start makes no result of another old.
"""

from __future__ import annotations

from collections.abc import Mapping

from kshot.fewshot.descent import Recipe

FINE_TUNE, SCRATCH = "fine-tune", "scratch"

TUNED: Mapping[str, Mapping[str, Recipe]] = {
    "bio-small": {
        FINE_TUNE: Recipe(rate=0.0316, energy_weight=100.0),
        SCRATCH: Recipe(rate=1e-2, energy_weight=1.0),
    },
    "so3lr": {
        FINE_TUNE: Recipe(rate=3.16e-4, energy_weight=100.0),
        SCRATCH: Recipe(rate=1e-3, energy_weight=100.0),
    },
}


def recipe_of(start: str, kind: str) -> Recipe:
    """Return what a contestant is told; a start that is not tuned takes those of ``bio-small``."""
    return TUNED.get(start, TUNED["bio-small"])[kind]
