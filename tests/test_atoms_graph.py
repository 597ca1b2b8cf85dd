import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.atoms import Structure
from kshot.atoms.graph import Size, graph, pad, room, rung, stack, unpad
from kshot.core.errors import InputError

CUTOFF = 3.0


def molecule(rng: np.random.Generator, atoms: int) -> Structure:
    return Structure(rng.choice([1, 6, 8], atoms), rng.normal(size=(atoms, 3)) * 2, charge=1)


def distances(one) -> np.ndarray:
    return np.sort(np.linalg.norm(one.vectors(), axis=1))


def test_edges_are_the_pairs_within_the_cutoff(rng):
    structure = molecule(rng, 12)
    every = np.linalg.norm(structure.positions[:, None] - structure.positions[None], axis=-1)
    expected = every[(every < CUTOFF) & ~np.eye(12, dtype=bool)]
    np.testing.assert_allclose(distances(graph(structure, CUTOFF)), np.sort(expected), rtol=1e-5)


def test_padding_adds_no_edge_within_the_cutoff_and_comes_off_again(rng):
    structure = molecule(rng, 7)
    plain = graph(structure, CUTOFF, np.float64)
    padded = pad(plain, Size(16, 80), CUTOFF)
    found = distances(padded)
    np.testing.assert_array_equal(found[found < CUTOFF], distances(plain))
    assert (found >= CUTOFF).sum() == 80 - int(plain.edges)
    assert (np.diff(padded.receivers) >= 0).all()
    assert unpad(padded).key == structure.key


def test_an_image_in_a_periodic_cell_is_a_neighbour():
    lattice = Structure(
        np.array([29]), np.zeros((1, 3)), cell=2.5 * np.eye(3), pbc=np.ones(3, bool)
    )
    np.testing.assert_allclose(distances(graph(lattice, CUTOFF)), np.full(6, 2.5))
    assert unpad(graph(lattice, CUTOFF, np.float64)).key == lattice.key


def test_stacking_gives_all_one_size_from_the_ladder(rng):
    graphs = [graph(molecule(rng, n), CUTOFF) for n in (3, 9, 11)]
    stacked = stack(graphs, CUTOFF)
    assert stacked.numbers.shape == (3, room(graphs).atoms) == (3, 12)
    assert stacked.real.sum(axis=1).tolist() == [3, 9, 11]
    with pytest.raises(InputError, match="fits into"):
        pad(graphs[2], Size(10, 500), CUTOFF)


@given(st.integers(1, 100_000))
def test_the_ladder_wastes_little_and_has_few_rungs(count):
    size = rung(count)
    assert count <= size <= max(8, 1.25 * count)
    assert size == rung(size)


def test_the_ladder_as_it_is_documented():
    assert sorted({rung(n) for n in range(1, 41)}) == [8, 10, 12, 14, 16, 20, 24, 28, 32, 40]
