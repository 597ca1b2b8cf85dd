"""Structure: what its key depends on, and what it owns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.atoms import Structure

WATER = Structure(
    np.array([8, 1, 1]), np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])
)
PERIODIC = np.ones(3, bool)


@pytest.mark.parametrize(
    "changes",
    [
        {"numbers": np.array([8, 1, 6])},
        {"charge": 1},
        {"multiplicity": 3},
        {"positions": WATER.positions + np.eye(3) * 1e-7},
        {"positions": WATER.positions[[0, 2, 1]]},
        {"cell": 9 * np.eye(3), "pbc": PERIODIC},
    ],
    ids=["element", "charge", "spin", "position", "order", "cell"],
)
def test_key_tells_apart(changes):
    assert WATER.replace(**changes).key != WATER.key


@pytest.mark.parametrize(
    "changes",
    [
        {"masses": np.array([15.999, 2.014, 2.014])},
        {"family": "water"},
        {"info": {"frame": 3}},
        {"positions": WATER.positions + 1e-10},
        {"cell": 9 * np.eye(3)},  # nothing repeats
        {"positions": np.asfortranarray(WATER.positions)},
        {"positions": WATER.positions.astype(">f8")},
        {"positions": np.where(WATER.positions == 0, -0.0, WATER.positions)},
    ],
    ids=[
        "masses",
        "family",
        "info",
        "below the grid",
        "cell of a molecule",
        "memory order",
        "byte order",
        "negative zero",
    ],
)
def test_key_is_blind_to(changes):
    assert WATER.replace(**changes).key == WATER.key


def test_key_of_a_periodic_structure_depends_on_cell_and_directions():
    slab = WATER.replace(cell=9 * np.eye(3), pbc=np.array([True, True, False]))
    assert slab.key != slab.replace(pbc=PERIODIC).key
    assert slab.key != slab.replace(cell=8 * np.eye(3)).key


def test_key_is_the_same_in_every_version():
    # Ledgers on disk are addressed by it: a change here orphans all of them.
    assert WATER.key == "24a2761477494aef698e8895b4e72478"


@given(
    st.lists(st.tuples(*[st.floats(-50, 50)] * 3), min_size=1, max_size=8),
    st.integers(-2, 2),
    st.integers(1, 5),
)
@settings(max_examples=50, deadline=None)
def test_keys_are_equal_exactly_where_the_grid_is(positions, charge, multiplicity):
    a = Structure(np.ones(len(positions), int), np.array(positions), charge, multiplicity)
    b = a.replace(positions=np.rint(a.positions * 1e8) / 1e8)
    assert a.key == b.key
    assert a.key != a.replace(charge=charge + 1).key
    assert a.key != a.replace(positions=a.positions + 1e-6).key


def test_arrays_are_copied_and_read_only():
    positions = np.zeros((1, 3))
    atom = Structure(np.array([1]), positions, 0, 2)
    positions += 1
    assert not atom.positions.any()
    with pytest.raises(ValueError, match="read-only"):
        atom.positions[0, 0] = 1
