"""Are labels in the units, and of the sign, that they are said to be in?

With a reference engine: the regression of the given forces on its forces. Without one: bonds to
hydrogen are everywhere about as stiff, which tells the unit and the sign of forces; between frames
of one molecule ΔE follows −F̄·ΔR, which tells the unit of energies; and bonds have their lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float64

from kshot.atoms.elements import elements
from kshot.atoms.labels import Failure, Labeler, Labelled
from kshot.atoms.reading import Units
from kshot.atoms.structure import Structure
from kshot.core.errors import UnitError
from kshot.core.units import BOHR

Item = TypeVar("Item")
Verdict = Literal["well", "wrong", "unclear"]
FORCE_UNITS = (
    "eV/Å", "Hartree/Bohr", "Hartree/Å", "kcal/mol/Å", "kcal/mol/Bohr", "kJ/mol/Å", "kJ/mol/nm",
    "eV/Bohr", "meV/Å",
)  # fmt: skip
ENERGY_UNITS = ("eV", "Hartree", "kcal/mol", "kJ/mol", "meV")
NEAR = 1.37
"""A slope within this factor of a unit's is explained by it; Bohr for Å makes 1.9 = 1.37²."""
STIFFNESS = {5: 23.0, 6: 31.0, 7: 40.0, 8: 48.0, 14: 18.0, 15: 21.0, 16: 26.0}
"""eV/Å²: force constants of bonds to hydrogen, by the other atom's number."""
HARMONIC = 0.15
"""Å: how far a bond may be from its mean length, to be counted."""
CLOSE = 0.12
"""Å, root mean square: displacements within which the trapezoid rule is good to 10 %."""
ENOUGH = 0.6
"""A correlation below it tells nothing."""
FRAMES = 6
PAIRS = 200
LONG_BONDS = 1.6  # in sums of covalent radii: Å taken for Bohr gives 1.9


@dataclass(frozen=True)
class Diagnosis:
    """What one test of units says.

    Args:
        test: ``forces`` (against a reference), ``bonds`` (how stiff those to hydrogen are),
            ``work`` (ΔE against −F̄·ΔR) or ``lengths``.
        verdict: ``well``, ``wrong``, or ``unclear`` where the data cannot tell.
        slope: how many times too large the tested quantity is; negative for the wrong sign.
        correlation: of the regression; 1 for ``lengths``.
        samples: numbers, pairs or atoms compared.
        words: what it means, and what to state when reading.
    """

    test: str
    verdict: Verdict
    slope: float
    correlation: float
    samples: int
    words: str


def diagnose_units(frames: Sequence[Labelled], reference: Labeler | None = None) -> list[Diagnosis]:
    """Return what the tests of units and signs say of labelled frames.

    Args:
        frames: as read: in eV and Å, if they are what they are said to be.
        reference: an engine that knows roughly what the forces are, such as GFN2; it labels six
            frames. None makes only the tests that need no engine; they want several frames of one
            molecule, and hydrogen in it.
    """
    found = [_lengths(frames), _bonds(frames), _work(frames)]
    return found if reference is None else [_forces(frames, reference), *found]


def require_units(
    frames: Sequence[Labelled], reference: Labeler | None = None, where: str = "these labels"
) -> None:
    """Raise unless `diagnose_units` finds nothing wrong.

    Args:
        frames: as read.
        reference: as in `diagnose_units`.
        where: the file, for the message.

    Raises:
        UnitError: with what to state when reading.
    """
    for one in diagnose_units(frames, reference):
        if one.verdict == "wrong":
            raise UnitError(
                "energies in eV, forces in eV/Å, lengths in Å",
                f"{where}: {one.words}",
                "State the units (energy_unit=, force_unit=, length_unit=) when reading.",
            )


def _forces(frames: Sequence[Labelled], reference: Labeler) -> Diagnosis:
    given, known = [], []
    several = [one for one in frames if len(one.structure) > 1]
    for one in _spread(several, FRAMES):
        labels = reference.label(one.structure)
        if not isinstance(labels, Failure):
            given.append(one.labels.forces.ravel())
            known.append(labels.forces.ravel())
    if not given:
        return _unclear("forces", 0, 0.0, "the reference engine labelled no frame")
    y, x = np.concatenate(given), np.concatenate(known)
    correlation = _cosine(x, y)
    if abs(correlation) < ENOUGH:
        words = f"forces do not follow those of {reference.fingerprint} ({correlation:.2f}): wrong "
        words += "order of atoms, wrong molecule, forces near zero, or positions not in Å"
        return _unclear("forces", len(x), correlation, words)
    slope = float(x @ y / (x @ x))
    units = _near(slope, {name: 1 / Units(force=name).force_factor for name in FORCE_UNITS})
    what = f"forces are {slope:.3g} times those of {reference.fingerprint}"
    return _judged("forces", slope, correlation, len(x), what, units, sure=1.8)


def _work(frames: Sequence[Labelled]) -> Diagnosis:
    """ΔE against −F̄·ΔR: exact for harmonic potentials, however far the frames are apart."""
    pairs = sorted(work_pairs(frames))[:PAIRS]  # the closest
    if len(pairs) < 3:
        return _unclear("work", len(pairs), 0.0, "too few frames of one molecule to compare")
    moves, energies, works = np.array(pairs).T
    if not works.any() or not energies.any():
        return _unclear("work", len(pairs), 0.0, "all frames are alike")
    correlation = _cosine(works, energies)
    if abs(correlation) < ENOUGH:
        words = f"energies do not follow forces ({correlation:.2f}): frames are too far apart, or "
        words += "energies and forces are not of the same structure or level of theory"
        return _unclear("work", len(pairs), correlation, words)
    # Neither side is without error: the ratio of their sizes, not a regression of one on the other.
    slope = float(np.sign(correlation) * np.linalg.norm(energies) / np.linalg.norm(works))
    units = {
        f"energies in {e} and forces in {f}": Units(force=f).force_factor / Units(e).energy_factor
        for e in ENERGY_UNITS
        for f in FORCE_UNITS
    }
    what = f"energy differences are {slope:.3g} times the work of the forces"
    # Anharmonic terms tilt the slope between frames that are far apart.
    sure = 1.6 if np.median(moves) < CLOSE and abs(correlation) > 0.9 else 3.0
    return _judged("work", slope, correlation, len(pairs), what, _near(slope, units), sure)


def _judged(
    test: str, slope: float, correlation: float, samples: int, what: str, units: str, sure: float
) -> Diagnosis:
    """Well near 1, wrong beyond a factor of ``sure`` and where negative, unclear between."""
    off = max(abs(slope), 1 / abs(slope))
    if slope < 0:
        what += ": they are gradients, not forces (state force_unit with a minus: -eV/Å)"
    if off < NEAR:
        verdict: Verdict = "well" if slope > 0 else "wrong"
        return Diagnosis(test, verdict, slope, correlation, samples, what)
    what += f", as of {units}" if units else ", which no known unit explains (was one stated?)"
    verdict = "wrong" if slope < 0 or off > sure else "unclear"
    return Diagnosis(test, verdict, slope, correlation, samples, what)


def _bonds(frames: Sequence[Labelled]) -> Diagnosis:
    """Force along each bond to hydrogen against its length, in its force constant: slope 1."""
    found = [bond for group in _groups(frames) for bond in _hydrogens(_spread(group, PAIRS))]
    if not found:
        return _unclear("bonds", 0, 0.0, "no molecule with hydrogen has several frames")
    x, y = (np.concatenate(column) for column in zip(*found, strict=True))
    near = np.abs(x) < HARMONIC
    x, y = x[near], y[near]
    correlation = _cosine(x, y)
    if abs(correlation) < ENOUGH or np.sqrt(np.mean(x**2)) < 1e-3:
        words = f"forces on hydrogen do not follow the lengths of its bonds ({correlation:.2f})"
        return _unclear("bonds", len(x), correlation, words)
    slope = float(x @ y / (x @ x))
    units = _near(slope, {name: 1 / Units(force=name).force_factor for name in FORCE_UNITS})
    what = f"forces make bonds to hydrogen {slope:.3g} times as stiff as they are"
    return _judged("bonds", slope, correlation, len(x), what, units, sure=3.0)


def _hydrogens(frames: Sequence[Labelled]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each hydrogen of a molecule: lengths of its bond about their mean, and its forces."""
    numbers = frames[0].structure.numbers
    radii = elements().radii
    heavy = np.flatnonzero(np.isin(numbers, list(STIFFNESS)))
    if len(frames) < 3 or not len(heavy):
        return
    positions = np.array([one.structure.positions for one in frames])
    forces = np.array([one.labels.forces for one in frames])
    for h in np.flatnonzero(numbers == 1):
        vectors = positions[:, h, None] - positions[:, heavy]
        lengths = np.linalg.norm(vectors, axis=2)
        to = int(lengths.mean(0).argmin())
        partner = int(numbers[heavy[to]])
        if lengths[:, to].max() > 1.4 * (radii[1] + radii[partner]):
            continue  # it leaves, or is shared
        along = vectors[:, to] / lengths[:, to, None]
        pull = -np.einsum("ij,ij->i", forces[:, h], along) / STIFFNESS[partner]
        yield lengths[:, to] - lengths[:, to].mean(), pull - pull.mean()


def _lengths(frames: Sequence[Labelled]) -> Diagnosis:
    """The shortest distance of each atom, in sums of covalent radii: about 1 in a molecule."""
    ratios: list[float] = []
    for one in _spread(frames, FRAMES):
        ratios += shortest_distances(one.structure).tolist()
    if not ratios:
        return _unclear("lengths", 0, 0.0, "there are lone atoms only")
    ratio = float(np.median(ratios))
    what = f"bonds are {ratio:.2f} times the sum of covalent radii"
    if LONG_BONDS < ratio < LONG_BONDS * 1.5:
        what += ": positions in Bohr would be; state length_unit"
        return Diagnosis("lengths", "wrong", ratio * BOHR, 1.0, len(ratios), what)
    if not 0.6 < ratio < LONG_BONDS:
        return Diagnosis("lengths", "unclear", ratio, 1.0, len(ratios), what)
    return Diagnosis("lengths", "well", ratio, 1.0, len(ratios), what)


def shortest_distances(structure: Structure) -> Float64[np.ndarray, " atoms"]:
    """Return the distance of each atom to its nearest, in sums of covalent radii.

    Of a molecule; empty for a lone atom and for what repeats.
    """
    if len(structure) < 2 or structure.pbc.any():
        return np.zeros(0)
    vectors = structure.positions[:, None] - structure.positions
    radii = np.nan_to_num(elements().radii[structure.numbers], nan=1.5)
    ratios = np.linalg.norm(vectors, axis=2) / (radii[:, None] + radii)
    np.fill_diagonal(ratios, np.inf)
    return ratios.min(1)


def _groups(frames: Sequence[Labelled]) -> list[list[Labelled]]:
    """Frames of one molecule: the same atoms in the same order, charge and spin."""
    groups: dict[tuple[bytes, int, int], list[Labelled]] = {}
    for one in frames:
        s = one.structure
        if len(s) > 1 and not s.pbc.any():
            key = (s.numbers.tobytes(), s.charge, s.multiplicity)
            groups.setdefault(key, []).append(one)
    return list(groups.values())


def work_pairs(frames: Sequence[Labelled]) -> Iterator[tuple[float, float, float]]:
    """Yield size of the move (Å), ΔE and work of the forces (eV), of neighbours in the file."""
    for members in _groups(frames):
        starts = _spread(list(range(len(members) - 1)), PAIRS)
        for a, b in ((members[i], members[i + 1]) for i in starts):
            move, forces = _aligned(a, b)
            mean = (a.labels.forces + forces) / 2
            size = float(np.sqrt((move**2).sum(1).mean()))
            yield size, b.labels.energy - a.labels.energy, -float((mean * move).sum())


def _aligned(
    a: Labelled, b: Labelled
) -> tuple[Float64[np.ndarray, "atoms 3"], Float64[np.ndarray, "atoms 3"]]:
    """Displacements from a to b, and forces of b, with b turned onto a (Kabsch)."""
    x = a.structure.positions - a.structure.positions.mean(0)
    y = b.structure.positions - b.structure.positions.mean(0)
    u, _, v = np.linalg.svd(y.T @ x)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v)) or 1.0])
    turn = u @ flip @ v
    return y @ turn - x, b.labels.forces @ turn


def _near(slope: float, units: dict[str, float]) -> str:
    """The units that explain a slope, the nearest first; empty if none does."""
    apart = {unit: abs(float(np.log(abs(slope) / factor))) for unit, factor in units.items()}
    close = sorted((gap, unit) for unit, gap in apart.items() if gap < np.log(NEAR))
    return " or ".join(unit for gap, unit in close[:3] if gap < close[0][0] + 0.1)


def _cosine(x: np.ndarray, y: np.ndarray) -> float:
    return float(x @ y / max(np.linalg.norm(x) * np.linalg.norm(y), 1e-300))


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many items, evenly from first to last."""
    places = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).astype(int))
    return [items[place] for place in places] if len(items) else []


def _unclear(test: str, samples: int, correlation: float, words: str) -> Diagnosis:
    return Diagnosis(test, "unclear", float("nan"), correlation, samples, words)
