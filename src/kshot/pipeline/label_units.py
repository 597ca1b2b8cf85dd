"""Are labels in eV and eV/Å? A start knows the chemistry well enough to know a unit.

Forces are compared with the start's in size and sign, energies by how much they differ between
frames, and total energies with those of lone atoms. How far honest labels may be off was read off
GFN2, ωB97X-D3(BJ), CCSD(T) and published labels of molecules that `bio-small` has not seen: forces
by factors of 0.93 to 1.42 from two frames on; differences of energies by up to 3.9 from five on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Labelled, Labels, Structure
from kshot.core.errors import UnitError
from kshot.core.units import BOHR, HARTREE, KCAL_PER_MOL, KJ_PER_MOL, RYDBERG
from kshot.potentials.model import Model

MOST_FRAMES = 32
ENERGY_UNITS = {
    "Hartree": 1 / HARTREE,
    "Rydberg": 1 / RYDBERG,
    "kcal/mol": 1 / KCAL_PER_MOL,
    "kJ/mol": 1 / KJ_PER_MOL,
    "meV": 1e3,
}
"""What an energy of 1 eV is in other units."""
FORCE_UNITS = {
    "Hartree/Bohr": BOHR / HARTREE,
    "Hartree/Å": 1 / HARTREE,
    "Rydberg/Bohr": BOHR / RYDBERG,
    "kcal/mol/Å": 1 / KCAL_PER_MOL,
    "kcal/mol/Bohr": BOHR / KCAL_PER_MOL,
    "kJ/mol/Å": 1 / KJ_PER_MOL,
    "kJ/mol/nm": 0.1 / KJ_PER_MOL,
    "meV/Å": 1e3,
    "eV/Bohr": BOHR,
    "halved forces": 0.5,
    "forces divided by the Bohr radius": 1 / BOHR,
    "doubled forces": 2.0,
}
"""What a force of 1 eV/Å is in other units, or by other slips."""
DOUBT = "In eV/Bohr they would be 0.53 times as large, doubled 2 times."
EVEN_FORCES = (0.68, 1.6)  # sizes of forces that a start may be off by
DOUBTFUL_FORCES = (0.8, 1.45)  # outside, the user is told
FOLLOWED = 0.75  # the least correlation of forces that says something
FOLLOWED_ENERGIES = 0.5
EVEN_ENERGIES = 6.0
ALIKE_ENERGIES, ALIKE, ROUGH = 0.8, 1.25, 3.0  # where energies and forces are off alike
LOOSE_ENERGIES = 10.0  # of very few frames, whose energies may chance to be alike
ENOUGH_ENERGIES = 4  # differences between frames
EXPLAINS = 1.5  # a unit explains what is within this factor of it
EXPLAINS_ENERGIES = 2.6  # between Hartree and Rydberg, kcal/mol and kJ/mol lie factors of 2 to 4
ALIKE_UNITS = 1.15  # units this near to the nearest are named beside it
ALL_ELECTRON = (-0.5 * HARTREE, 2.41)  # eV, power of the atomic number: right to 4 % up to bromine
SAME_SUM, NO_SUM = 1.06, 1.15  # total energies that are those of lone atoms, and that are not


class Ratio(NamedTuple):
    """How labels go with predictions.

    Args:
        size: of labels in those of predictions; 1 in the same unit.
        correlation: of the two, negative where the sign is wrong.
        samples: independent numbers or differences.
    """

    size: float
    correlation: float
    samples: int


def check_units(start: Model, labelled: Sequence[Labelled]) -> list[str]:
    """Raise if labels are certainly in other units; return what is doubtful.

    Raises:
        UnitError: with the unit that explains them, where one does.
    """
    places = np.unique(np.linspace(0, len(labelled) - 1, MOST_FRAMES).astype(int))
    frames = [labelled[place] for place in places]
    allow = {"charges", "multiplicities", "levels"}
    predicted = start.predict([frame.structure for frame in frames], allow=allow)
    return judge_forces(frames, predicted) + judge_energies(frames, predicted, start.e0s)


def judge_forces(frames: Sequence[Labelled], predicted: Sequence[Labels]) -> list[str]:
    """Compare forces with predicted ones (eV/Å): raise at another unit, or return doubts."""
    given = np.concatenate([frame.labels.forces.ravel() for frame in frames])
    known = np.concatenate([labels.forces.ravel() for labels in predicted])
    if not given.any() or not known.any():
        return []
    ratio = _ratio(given, known, len(given))
    even = EVEN_FORCES[0] < ratio.size < EVEN_FORCES[1]
    sign = "" if ratio.correlation > 0 else "gradients instead of forces"
    near = _nearest(ratio.size, FORCE_UNITS, EXPLAINS) if not even else ""
    guess = " in ".join(filter(None, [sign, near]))
    got = f"forces {np.sign(ratio.correlation) * ratio.size:.3g} times the start's"
    got += f" (correlation {ratio.correlation:.2f})"
    if abs(ratio.correlation) < FOLLOWED:
        looks = f"; they look like {near}" if near else ""
        return [] if even else [f"{got}: are they of these structures, in eV/Å{looks}?"]
    if not sign and not even and _follow_energies(ratio, _spread_ratio(frames, predicted)):
        return [f"{got}, and so are energies: are both in eV and Å?"]
    if sign or not even:
        looks = f"They look like {guess}. " if guess else ""
        todo = f"{looks}Convert them, or state units when reading: see `kshot data convert`."
        raise UnitError("forces in eV/Å, minus the gradient", got, todo)
    if DOUBTFUL_FORCES[0] < ratio.size < DOUBTFUL_FORCES[1]:
        return []
    return [f"{got}: are they in eV/Å? {DOUBT}"]


def judge_energies(
    frames: Sequence[Labelled], predicted: Sequence[Labels], e0s: Mapping[int, float]
) -> list[str]:
    """Compare energies with predicted ones (eV): raise at another unit, or return doubts."""
    structures = [frame.structure for frame in frames]
    energies = np.array([frame.labels.energy for frame in frames])
    by_sums = unit_by_sums(structures, energies, e0s)
    ratio = _spread_ratio(frames, predicted)
    sure = ratio.samples >= ENOUGH_ENERGIES and ratio.correlation > FOLLOWED_ENERGIES
    even = 1 / EVEN_ENERGIES < ratio.size < EVEN_ENERGIES
    by_spread = "" if even else _nearest(ratio.size, ENERGY_UNITS, EXPLAINS_ENERGIES)
    got = f"energies that differ {ratio.size:.3g} times as much between frames as the start's"
    got += f" (correlation {ratio.correlation:.2f})"
    if by_sums:
        got += f", and whose totals are those of lone atoms in {by_sums}"
    guess = by_sums or by_spread
    fits = by_sums and _fits(ratio, by_sums)
    if (sure and not even) or (fits and not (sure and even)):
        looks = f"They look like {guess}. " if guess else ""
        todo = f"{looks}Convert them, or state units when reading: see `kshot data convert`."
        raise UnitError("energies in eV, as forces are in eV/Å", got, todo)
    if fits or (ratio.samples >= ENOUGH_ENERGIES and not even):
        return [f"{got}: are they in eV{f', not {guess}' if guess else ''}?"]
    return []


def unit_by_sums(
    structures: Sequence[Structure],
    energies: Float64[np.ndarray, " frames"],
    e0s: Mapping[int, float],
) -> str:
    """Return the unit in which total energies are sums over lone atoms; empty if eV, or none is.

    Args:
        structures: what the energies are of.
        energies: as given.
        e0s: of the start, in eV; sums over all-electron atoms are tried beside them.
    """
    ratios = []
    scale, power = ALL_ELECTRON
    for table in (e0s, {z: scale * z**power for z in range(1, 119)}):
        if all(int(z) in table for one in structures for z in one.numbers):
            sums = np.array([sum(table[int(z)] for z in one.numbers) for one in structures])
            if np.all(sums < -1.0):
                ratios.append(energies / sums)
    if any(1 / NO_SUM < np.median(ratio) < NO_SUM for ratio in ratios):
        return ""
    for ratio in ratios:
        names = {_nearest(float(one), ENERGY_UNITS, SAME_SUM) if one > 0 else "" for one in ratio}
        if len(names) == 1 and names != {""}:
            return names.pop()
    return ""


def _fits(ratio: Ratio, unit: str) -> bool:
    """Whether differences of energies, if there are any, are roughly as large as in a unit."""
    apart = abs(np.log(ratio.size / ENERGY_UNITS[unit]))
    return ratio.samples == 0 or bool(apart < np.log(LOOSE_ENERGIES))


def _follow_energies(forces: Ratio, energies: Ratio) -> bool:
    """Whether energies are off by as much as forces: a rough start, and no slip of units."""
    sure = energies.samples >= ENOUGH_ENERGIES and energies.correlation > ALIKE_ENERGIES
    apart = abs(np.log(forces.size / energies.size))
    return sure and bool(apart < np.log(ALIKE)) and 1 / ROUGH < forces.size < ROUGH


def _spread_ratio(frames: Sequence[Labelled], predicted: Sequence[Labels]) -> Ratio:
    """Compare energies about their mean over frames of the same atoms and charge."""
    kinds = [(tuple(np.sort(s.numbers)), s.charge) for s, _ in frames]
    given = np.array([labels.energy for _, labels in frames])
    known = np.array([labels.energy for labels in predicted])
    for kind in set(kinds):
        same = np.array([one == kind for one in kinds])
        given[same] -= given[same].mean()
        known[same] -= known[same].mean()
    return _ratio(given, known, len(kinds) - len(set(kinds)))


def _ratio(given: np.ndarray, known: np.ndarray, count: int) -> Ratio:
    """Return the ratio of sizes: predictions have errors, so that a regression would be tilted."""
    sizes = np.linalg.norm(given), np.linalg.norm(known)
    if not all(sizes):
        return Ratio(1.0, 0.0, 0)
    correlation = float(given @ known / (sizes[0] * sizes[1]))
    return Ratio(float(sizes[0] / sizes[1]), correlation, count)


def _nearest(size: float, units: Mapping[str, float], within: float) -> str:
    """Return the unit that explains a ratio, with those that cannot be told from it."""
    apart = {name: abs(float(np.log(size / factor))) for name, factor in units.items()}
    least = min(apart.values())
    if least > np.log(within):
        return ""
    alike = [name for name, gap in apart.items() if gap < least + np.log(ALIKE_UNITS)]
    return " or ".join(sorted(alike, key=apart.__getitem__))
