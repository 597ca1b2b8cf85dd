"""p(τ): families with weights, and seeded draws from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from kshot.core.errors import InputError
from kshot.core.seeds import named_generator
from kshot.families.family import Family


@dataclass(frozen=True, eq=False)
class Distribution:
    """A distribution over families.

    Args:
        families: those with a weight above zero.
        weights: their probabilities; they add up to one.
        strata: the stratum each was weighted in; a display of what was done.
    """

    families: tuple[Family, ...]
    weights: Float64[np.ndarray, " families"]
    strata: tuple[str, ...]

    def sample(self, n: int, seed: int = 0, step: int = 0) -> list[Family]:
        """Draw ``n`` families, with repetition.

        Args:
            n: how many.
            seed: of the run.
            step: of the training: draws of different steps are independent, and each is the same
                whatever was drawn before.
        """
        rng = named_generator(seed, "families", step)
        drawn = rng.choice(len(self.families), size=n, p=self.weights)
        return [self.families[i] for i in drawn]

    def share(self) -> dict[str, float]:
        """Return the probability of each stratum."""
        found: dict[str, float] = {}
        for stratum, weight in zip(self.strata, self.weights, strict=True):
            found[stratum] = found.get(stratum, 0.0) + float(weight)
        return found

    def restrict(self, names: Iterable[str]) -> Distribution:
        """Return the same distribution over these families only, such as one side of a split.

        Raises:
            InputError: none of them has any weight.
        """
        wanted = set(names)
        kept = [i for i, family in enumerate(self.families) if family.name in wanted]
        if not kept:
            raise InputError("families of this distribution", "none of them", "Check the names.")
        weights = self.weights[kept]
        return Distribution(
            tuple(self.families[i] for i in kept),
            weights / weights.sum(),
            tuple(self.strata[i] for i in kept),
        )


def weighted(
    families: Sequence[Family],
    strata: Mapping[str, str],
    weights: Mapping[str, float] | None = None,
) -> Distribution:
    """Return the distribution that draws a stratum by weight, then a family in it evenly.

    Args:
        families: any; those without a stratum are left out.
        strata: the stratum of each, by its name.
        weights: of strata; 1 for those not named. They need not add up to one.

    Raises:
        InputError: a weight is no finite number from zero up, names no stratum, or nothing is left.
    """
    weights = dict(weights or {})
    inside = [family for family in families if family.name in strata]
    sizes: dict[str, int] = {}
    for family in inside:
        stratum = strata[family.name]
        sizes[stratum] = sizes.get(stratum, 0) + 1
    for stratum, weight in weights.items():
        if not np.isfinite(weight) or weight < 0:
            raise InputError("weights from zero up", f"{stratum}: {weight}", "Correct it.")
        if stratum not in sizes:
            known = ", ".join(sorted(sizes)[:20]) or "none"
            raise InputError(f"a weight of a stratum ({known})", repr(stratum), "Correct its name.")
    raw = np.array([weights.get(s := strata[f.name], 1.0) / sizes[s] for f in inside], np.float64)
    kept = np.flatnonzero(raw > 0)
    if not len(kept):
        raise InputError(
            "at least one family in a stratum with a weight", "none", "Check tags and weights."
        )
    return Distribution(
        tuple(inside[i] for i in kept),
        raw[kept] / raw[kept].sum(),
        tuple(strata[inside[i].name] for i in kept),
    )
