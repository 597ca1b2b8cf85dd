"""Training, validation and test: whole components of alike families on one side each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kshot.core.errors import InputError, UnknownNameError
from kshot.core.seeds import named_generator
from kshot.families.distributions.components import Components
from kshot.families.distributions.relations import (
    Edge,
    Relation,
    near_duplicate_members,
    same_molecule,
    same_tag,
)
from kshot.families.family import Family

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
RELATIONS: tuple[Relation, ...] = (near_duplicate_members, same_molecule, same_tag("cluster"))
"""Unless others are given: no geometry, no molecule and no cluster on two sides."""


@dataclass(frozen=True)
class Split:
    """Which family stands on which side.

    Args:
        sides: names of families, sorted, by side.
        components: families that had to stay together, sorted; alone ones too.
        pulled: families that follow a held-out one, and which relation holds them to it.
    """

    sides: Mapping[str, tuple[str, ...]]
    components: tuple[tuple[str, ...], ...]
    pulled: Mapping[str, str]

    def side(self, name: str) -> str:
        """Return the side a family stands on.

        Raises:
            UnknownNameError: it is in none.
        """
        for side, names in self.sides.items():
            if name in names:
                return side
        raise UnknownNameError(f"no family of this split is called {name!r}.")


def split_families(
    families: Sequence[Family],
    fractions: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
    relations: Sequence[Relation] = RELATIONS,
    held_out: Sequence[str] = (),
    held_out_side: str = "test",
) -> Split:
    """Split families so that nothing alike stands on two sides.

    All pairs that the relations find are joined, and what is joined, over however many steps,
    stays together. Components then go to sides at random, in proportion to what each side still
    lacks. The result depends on the set of families and the seed, not on their order.

    Args:
        families: with unique names.
        fractions: of the number of families, by side; 0.8, 0.1 and 0.1 for ``train``,
            ``validation`` and ``test`` if None.
        seed: of the assignment.
        relations: what must not be separated.
        held_out: families that shall stand on ``held_out_side``, with all that is joined to them.
        held_out_side: one of the sides.

    Raises:
        InputError: names that are not unique, fractions that do not add up to one, or fewer
            components than sides.
        UnknownNameError: a held-out family is not among the families.
    """
    fractions = dict(fractions or FRACTIONS)
    _check(families, fractions, held_out, held_out_side)
    ordered = sorted(families, key=lambda family: family.name)
    edges = [edge for relation in relations for edge in relation(ordered)]
    joined = Components(family.name for family in ordered)
    for edge in edges:
        joined.join(edge.one, edge.other)
    components = joined.groups()
    fixed = [c for c in components if set(c) & set(held_out)]
    free = [c for c in components if not set(c) & set(held_out)]
    sides: dict[str, list[tuple[str, ...]]] = {side: [] for side in fractions}
    sides[held_out_side] += fixed
    _assign(free, sides, {s: f * len(ordered) for s, f in fractions.items()}, seed)
    _fill_empty(sides, fractions, held_out_side if fixed else "", components)
    return Split(
        {side: tuple(sorted(n for c in found for n in c)) for side, found in sides.items()},
        tuple(components),
        _pulled(fixed, held_out, edges),
    )


def leaks(families: Sequence[Family], split: Split, relations: Sequence[Relation]) -> list[Edge]:
    """Return the pairs that stand on different sides although a relation joins them.

    An empty list is what `split_families` promises. It is worth asking with further relations:
    how many molecules of the test set, for instance, has the training set met in another protein?
    """
    side = {name: s for s, names in split.sides.items() for name in names}
    ours = [family for family in families if family.name in side]
    found = (edge for relation in relations for edge in relation(ours))
    return [edge for edge in found if side[edge.one] != side[edge.other]]


def _check(
    families: Sequence[Family], fractions: Mapping[str, float], held_out: Sequence[str], side: str
) -> None:
    names = [family.name for family in families]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError("families with unique names", f"{twice!r} twice", "Rename one of them.")
    whole = abs(sum(fractions.values()) - 1) < 1e-6
    if not whole or not all(0 <= f <= 1 and np.isfinite(f) for f in fractions.values()):
        raise InputError("fractions that add up to 1", f"{dict(fractions)}", "Correct them.")
    if side not in fractions:
        raise InputError(f"a side ({', '.join(fractions)})", repr(side), "Choose one of these.")
    for name in held_out:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UnknownNameError(f"no family to hold out is called {name!r}.{hint}")


def _assign(
    components: Sequence[tuple[str, ...]],
    sides: dict[str, list[tuple[str, ...]]],
    wanted: Mapping[str, float],
    seed: int,
) -> None:
    """Give the largest components away first, with odds by what each side still lacks."""
    rng = named_generator(seed, "split")
    shuffled = [components[i] for i in rng.permutation(len(components))]
    filled = {side: sum(map(len, found)) for side, found in sides.items()}
    for component in sorted(shuffled, key=len, reverse=True):
        lacks = np.array([max(wanted[side] - filled[side], 0.0) for side in sides])
        fits = np.where(lacks >= len(component), lacks, 0.0)
        odds = fits if fits.any() else lacks
        if odds.any():
            chosen = list(sides)[int(rng.choice(len(odds), p=odds / odds.sum()))]
        else:
            chosen = max(sides, key=lambda side: wanted[side])
        sides[chosen].append(component)
        filled[chosen] += len(component)


def _fill_empty(
    sides: dict[str, list[tuple[str, ...]]],
    fractions: Mapping[str, float],
    pinned: str,
    components: Sequence[tuple[str, ...]],
) -> None:
    """A side that should have families and has none takes the smallest component of another."""
    for side in [side for side in sides if fractions[side] > 0 and not sides[side]]:
        donors = [s for s in sides if len(sides[s]) > 1 and s != pinned]
        if not donors:
            largest = max(map(len, components), default=0)
            raise InputError(
                f"at least one component for each of {', '.join(sides)}",
                f"{len(components)} of them, the largest with {largest} families",
                "Give more families, fewer sides, or fewer relations (what must stay together).",
            )
        donor = max(donors, key=lambda s: sum(map(len, sides[s])))
        smallest = min(sides[donor], key=lambda component: (len(component), component))
        sides[donor].remove(smallest)
        sides[side].append(smallest)


def _pulled(
    fixed: Sequence[tuple[str, ...]], held_out: Sequence[str], edges: Sequence[Edge]
) -> dict[str, str]:
    """Say of each family that follows a held-out one what holds it."""
    follow = {name for component in fixed for name in component} - set(held_out)
    found: dict[str, str] = {}
    for one, other, why in edges:
        for name, neighbour in ((one, other), (other, one)):
            if name in follow and (name not in found or neighbour in held_out):
                found[name] = f"{why} as {neighbour}"
    return dict(sorted(found.items()))
