"""Broken structures are told in words; sound ones pass, and quickly."""

import itertools
import time

import numpy as np
import pytest
from ase.build import molecule
from ase.collections import g2

from kshot.atoms import Structure, check_structure, require_sound
from kshot.atoms.elements import elements
from kshot.core.errors import InputError, StructureError

WATER = Structure(
    np.array([8, 1, 1]), np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])
)
PERIODIC = np.ones(3, bool)


def changed(**changes: object) -> Structure:
    """Change fields behind the back of the type checks, which are on in tests only."""
    broken = WATER.replace()
    for name, value in changes.items():
        whole = np.asarray(value) if isinstance(value, list | np.ndarray) else value
        object.__setattr__(broken, name, whole)
    return broken


def moved(atom: int, to: list[float]) -> np.ndarray:
    positions = WATER.positions.copy()
    positions[atom] = to
    return positions


BAD = {
    "no atoms": ({"numbers": np.zeros(0, int), "positions": np.zeros((0, 3))}, "at least one"),
    "shape": ({"positions": np.zeros((2, 3))}, r"shape \(2, 3\) for 3 atoms"),
    "flat": ({"positions": np.zeros(9)}, "shape"),
    "dummy": ({"numbers": [8, 0, 1]}, "atom 1 has atomic number 0"),
    "beyond": ({"numbers": [8, 1, 119]}, "atom 2 has atomic number 119"),
    "nan": ({"positions": moved(1, [np.nan, 0, 0])}, "atom 1 is not finite"),
    "infinite": ({"positions": moved(2, [np.inf, 0, 0])}, "atom 2 is not finite"),
    "far": ({"positions": moved(2, [0, 0, 1e13])}, r"atom 2 is more than 1e\+06 Å from the origin"),
    "duplicate": ({"positions": moved(2, [0, 0.76, -0.47])}, "1 .H. and 2 .H. are at the same"),
    "0.3 Å": ({"positions": moved(2, [0, 0.46, -0.47])}, "1 .H. and 2 .H. are 0.30 Å apart"),
    "O-H 0.4 Å": ({"positions": moved(1, [0, 0.4, 0.12])}, "0 .O. and 1 .H. are 0.40 Å apart"),
    "far away": ({"positions": 1e4 + moved(2, [0, 0.46, -0.47])}, "0.30 Å apart"),
    "doublet": ({"multiplicity": 2}, "10 electrons .* multiplicity 2: an even .* odd"),
    "cation": ({"charge": 1}, "9 electrons .* multiplicity 1: an odd .* even"),
    "multiplicity 0": ({"multiplicity": 0}, "below 1"),
    "too many unpaired": ({"multiplicity": 13}, "needs 12 electrons of 10"),
    "charge +60": ({"charge": 60}, "absurd"),
    "charge -30": ({"charge": -30}, "absurd"),
    "no electrons": ({"numbers": [1, 1, 1], "charge": 3}, "no electron left"),
    "heavy": ({"masses": [16, 1.008, 4.5]}, "4.5 u is no isotope of H .atom 2."),
    "masses in m_e": ({"masses": [29156, 1837, 1837]}, "no isotope of O"),
    "mass nan": ({"masses": [16, 1, np.nan]}, "no isotope"),
    "masses shape": ({"masses": [16, 1]}, "one per atom"),
    "no cell": ({"pbc": [True, False, False]}, "no cell"),
    "flat cell": ({"pbc": PERIODIC, "cell": np.diag([5, 5, 0])}, "not independent"),
    "own image": ({"pbc": PERIODIC, "cell": np.diag([5, 5, 0.5])}, "0.50 Å apart"),
}


@pytest.mark.parametrize(("changes", "words"), BAD.values(), ids=BAD)
def test_broken(changes, words):
    broken = changed(**changes)
    with pytest.raises(StructureError, match=words) as caught:
        require_sound(broken, where="a.xyz, frame 7")
    assert isinstance(caught.value, InputError)
    assert "a.xyz, frame 7" in str(caught.value)


def test_whoever_does_not_say_where_is_told_all_the_same():
    with pytest.raises(StructureError, match="this structure: the position of atom 1"):
        require_sound(changed(positions=moved(1, [np.nan, 0, 0])))
    with pytest.raises(StructureError, match="water: the position of atom 1"):
        require_sound(changed(positions=moved(1, [np.nan, 0, 0]), family="water"))


def test_all_g2_molecules_are_sound():
    for name in g2.names:
        atoms = molecule(name)
        unpaired = round(abs(atoms.get_initial_magnetic_moments().sum()))
        assert check_structure(Structure(atoms.numbers, atoms.positions, 0, unpaired + 1)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"charge": 1, "multiplicity": 2},
        {"multiplicity": 3},
        {"masses": [17.999, 2.014, 3.016]},
        {"cell": 3 * np.eye(3), "pbc": PERIODIC},
        {"positions": WATER.positions * 0.8},
    ],
)
def test_sound(changes):
    assert check_structure(changed(**changes)) == []


@pytest.mark.parametrize(
    ("number", "charge", "multiplicity"),
    [(1, 0, 2), (12, 2, 1), (26, 3, 6), (30, 2, 1), (8, 0, 3), (17, -1, 1)],
)
def test_lone_atoms_and_ions_are_sound(number, charge, multiplicity):
    assert (
        check_structure(Structure(np.array([number]), np.zeros((1, 3)), charge, multiplicity)) == []
    )


def test_closest_can_be_stricter():
    stretched = WATER.replace(positions=WATER.positions * 0.8)
    assert check_structure(stretched, closest=0.85)


def test_neutral_atoms_have_the_parity_of_their_electrons():
    for number, multiplicity in list(enumerate(elements().multiplicities))[1:]:
        assert (number - multiplicity) % 2 == 1


def test_findings_are_kept_and_cannot_be_changed_from_outside():
    broken = WATER.replace(multiplicity=2)
    check_structure(broken).clear()
    assert check_structure(broken) == check_structure(broken.replace()) != []
    assert check_structure(broken.replace(multiplicity=1)) == []


def test_check_is_quick():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)[:20] * 1.5
    structure = Structure(np.full(20, 6), grid + 0.1 * rng.normal(size=(20, 3)))
    assert check_structure(structure) == []
    fresh = [structure.replace() for _ in range(200)]  # one is checked only once
    # in the same process, so that a busy machine slows both; without beartype it takes 20 µs.
    checked = min(seconds(lambda one=one: check_structure(one)) for one in fresh)
    by_loop = min(seconds(lambda one=one: pair_by_pair(one)) for one in fresh[:20])
    assert checked < by_loop / 2


def seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def pair_by_pair(structure: Structure) -> float:
    pairs = itertools.combinations(structure.positions, 2)
    return min(float(np.linalg.norm(a - b)) for a, b in pairs)
