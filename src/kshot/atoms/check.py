"""Is a structure one that a quantum-mechanical engine may be asked about?"""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np
from jaxtyping import Float64

from kshot.atoms.elements import HEAVIEST, elements, symbol
from kshot.atoms.structure import Structure
from kshot.core.errors import StructureError

CLOSEST = 0.5
"""Closest approach of two atoms, in sums of their covalent radii; a bond is about 1."""
FLOOR = 0.4
"""Å: closest approach of any two atoms; H₂ is at 0.74."""
FARTHEST = 1e6
"""Å from the origin: beyond it, positions are a mistake."""
MASS_RATIO = 3.2
"""Heaviest isotope over natural mass: tritium is at 3.0."""


def check_structure(structure: Structure, closest: float = CLOSEST) -> list[str]:
    """Return what is wrong with a structure; an empty list if nothing is.

    It takes some ten microseconds, and once for each structure, which never changes: it may stand
    before every calculation.

    Args:
        structure: a molecule or cell.
        closest: atoms nearer than this share of the sum of their covalent radii are a problem, as
            are any two below 0.4 Å.
    """
    if closest not in structure.findings:
        structure.findings[closest] = tuple(_problems(structure, closest))
    return list(structure.findings[closest])


def _problems(structure: Structure, closest: float) -> list[str]:
    shape = _shape_problems(structure)
    if shape:
        return shape
    problems = _spin_problems(structure)
    if structure.masses is not None:
        problems += _mass_problems(structure)
    if structure.is_periodic:
        problems += _cell_problems(structure)
    return problems or _clashes(structure, closest)


def require_sound(structure: Structure, closest: float = CLOSEST, where: str = "") -> None:
    """Raise unless `check_structure` finds nothing wrong.

    Args:
        structure: a molecule or cell.
        closest: as in `check_structure`.
        where: file and frame, for the message.

    Raises:
        StructureError: with every problem found.
    """
    problems = check_structure(structure, closest)
    if problems:
        raise unsound(problems, where or structure.family or "this structure")


def unsound(problems: list[str], where: str) -> StructureError:
    """Return the error that tells the problems of one structure."""
    return StructureError(
        "a structure that an engine can compute",
        f"{where}: {'; '.join(problems)}",
        "Correct or leave out this structure.",
    )


def _shape_problems(structure: Structure) -> list[str]:
    numbers, positions = structure.numbers, structure.positions
    n = numbers.size
    if numbers.ndim != 1 or n == 0:
        return [f"numbers have shape {numbers.shape}: one per atom, and at least one"]
    if positions.shape != (n, 3):
        return [f"positions have shape {positions.shape} for {n} atoms"]
    listed = numbers.tolist()  # of so few, Python's own are faster than NumPy's reductions
    if min(listed) < 1 or max(listed) > HEAVIEST:
        bad = int(np.flatnonzero((numbers < 1) | (numbers > HEAVIEST))[0])
        return [f"atom {bad} has atomic number {numbers[bad]}, which no element has"]
    flat = positions.ravel().tolist()
    if not (max(flat) < FARTHEST and min(flat) > -FARTHEST and math.isfinite(sum(flat))):
        bad = int(np.flatnonzero(~(np.abs(positions) < FARTHEST).all(1))[0])
        if np.isfinite(positions[bad]).all():
            return [f"atom {bad} is more than {FARTHEST:g} Å from the origin"]
        return [f"the position of atom {bad} is not finite"]
    return []


def _spin_problems(structure: Structure) -> list[str]:
    charge, unpaired = structure.charge, structure.multiplicity - 1
    electrons = sum(structure.numbers.tolist()) - charge
    if abs(charge) > 4 + len(structure) / 4:
        return [f"a charge of {charge:+d} on {len(structure)} atoms is absurd"]
    if electrons < 1:
        return [f"with charge {charge:+d} there is no electron left"]
    if unpaired < 0:
        return [f"multiplicity {structure.multiplicity} is below 1 (it is 2S + 1)"]
    if unpaired > electrons:
        return [f"multiplicity {unpaired + 1} needs {unpaired} electrons of {electrons}"]
    if (electrons - unpaired) % 2:
        parity, fitting = ("odd", "even") if electrons % 2 else ("even", "odd")
        given = f"{electrons} electrons (charge {charge:+d}) and multiplicity {unpaired + 1}"
        return [f"{given}: an {parity} number of electrons has an {fitting} multiplicity"]
    return []


def _mass_problems(structure: Structure) -> list[str]:
    masses = structure.masses
    if masses is None or masses.shape != structure.numbers.shape:
        return ["masses must be one per atom"]
    ratio = masses / elements().masses[structure.numbers]
    wrong = ~((ratio > 1 / MASS_RATIO) & (ratio < MASS_RATIO))  # NaN is wrong too
    if not wrong.any():
        return []
    bad = int(np.flatnonzero(wrong)[0])
    name = symbol(int(structure.numbers[bad]))
    return [f"a mass of {masses[bad]:g} u is no isotope of {name} (atom {bad})"]


def _cell_problems(structure: Structure) -> list[str]:
    cell = structure.cell
    if cell is None or cell.shape != (3, 3) or not np.isfinite(cell).all():
        return ["it is periodic, but has no cell of three finite vectors"]
    rows = cell[structure.pbc]
    if np.linalg.matrix_rank(rows) < len(rows):
        return ["the periodic cell vectors are zero or not independent"]
    return []


@cache
def _limits(closest: float) -> Float64[np.ndarray, "119 119"]:
    """Smallest allowed distance squared of every two elements, in Å²."""
    radii = np.nan_to_num(elements().radii, nan=0.7)
    limits = np.maximum(FLOOR, closest * (radii[:, None] + radii))
    return limits**2


@lru_cache(maxsize=4)
def _limits_between(numbers: bytes, closest: float) -> Float64[np.ndarray, "atoms atoms"]:
    """Smallest allowed distance squared of every two atoms, in Å²; none of an atom to itself."""
    elements = np.frombuffer(numbers, np.int64)
    limits = _limits(closest)[elements[:, None], elements]
    np.fill_diagonal(limits, -np.inf)
    return limits


def _clashes(structure: Structure, closest: float) -> list[str]:
    if structure.is_periodic:
        return _periodic_clashes(structure, closest)
    x = structure.positions
    gaps = x @ x.T  # |x - y|² = |x|² + |y|² - 2 xy: the fewest calls of NumPy
    squares = gaps.diagonal()[:, None].copy()
    gaps *= -2.0
    gaps += squares
    gaps += squares.T
    gaps -= _limits_between(structure.numbers.tobytes(), closest)
    least = int(gaps.argmin())
    if gaps.item(least) > 0:
        return []
    i, j = sorted(divmod(least, len(x)))
    return [_too_close(structure, i, j, float(np.linalg.norm(x[i] - x[j])))]


def _periodic_clashes(structure: Structure, closest: float) -> list[str]:
    from kshot.atoms.neighbours import neighbours

    limits = np.sqrt(_limits(closest)[structure.numbers[:, None], structure.numbers])
    i, j, vectors, _ = neighbours(structure, float(limits.max()))
    distances = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(distances < limits[i, j])
    if not len(wrong):
        return []
    worst = wrong[distances[wrong].argmin()]
    return [_too_close(structure, int(i[worst]), int(j[worst]), float(distances[worst]))]


def _too_close(structure: Structure, i: int, j: int, distance: float) -> str:
    a, b = (symbol(int(structure.numbers[k])) for k in (i, j))
    what = "are at the same place" if distance < 1e-3 else f"are {distance:.2f} Å apart"
    return f"atoms {i} ({a}) and {j} ({b}) {what}"
