"""Neighbour lists against sums over images written out, and what importing kshot.atoms costs."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.atoms import Structure
from kshot.atoms import neighbours as module
from kshot.atoms.neighbours import neighbours


def cluster(atoms: int, seed: int, **changes: object) -> Structure:
    rng = np.random.default_rng(seed)
    return Structure(rng.choice([1, 6, 8], atoms), rng.normal(size=(atoms, 3)) * 2, **changes)


def by_hand(structure: Structure, cutoff: float, images: int = 4) -> set[tuple[int, ...]]:
    """Every sender, receiver and shift within the cutoff."""
    steps = [range(-images, images + 1) if periodic else [0] for periodic in structure.pbc]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
    cell = np.zeros((3, 3)) if structure.cell is None else structure.cell
    x = structure.positions
    found = set()
    for shift in shifts:
        vectors = x[None] + shift @ cell - x[:, None]
        lengths = np.linalg.norm(vectors, axis=2)
        near = (lengths < cutoff) & ((lengths > 0) if not shift.any() else True)
        found |= {(int(j), int(i), *map(int, shift)) for i, j in np.argwhere(near)}
    return found


def as_set(found: module.Neighbours) -> set[tuple[int, ...]]:
    return {
        (int(s), int(r), *map(int, shift))
        for s, r, shift in zip(found.senders, found.receivers, found.shifts, strict=True)
    }


@given(
    st.integers(1, 7),
    st.integers(0, 10**6),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.floats(1.0, 5.0),
)
@settings(max_examples=40, deadline=None)
def test_against_images_written_out(atoms, seed, pbc, cutoff):
    skew = np.random.default_rng(seed + 1).normal(size=(3, 3)) * 0.3
    structure = cluster(atoms, seed, cell=np.eye(3) * 4.5 + skew, pbc=np.array(pbc))
    # Atoms may stand outside the cell: up to two cells away, and the cutoff reaches two further.
    found = neighbours(structure, cutoff)
    assert as_set(found) == by_hand(structure, cutoff, images=7)
    cell = structure.cell
    expected = structure.positions[found.senders] + found.shifts @ cell
    np.testing.assert_allclose(
        found.vectors, expected - structure.positions[found.receivers], atol=1e-12
    )


@given(st.integers(2, 30), st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_both_searches_agree(atoms, seed):
    structure = cluster(atoms, seed)
    pairs = neighbours(structure, 3.0)
    cells = module._cell_list(structure, 3.0)
    for one, other in zip(pairs, cells, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_pairs_stand_in_both_directions_sorted_by_receiver():
    found = neighbours(cluster(20, 0), 4.0)
    assert (np.diff(found.receivers) >= 0).all()
    assert {(s, r) for s, r, *_ in as_set(found)} == {(r, s) for s, r, *_ in as_set(found)}


def test_large_molecules_go_through_the_cell_list(monkeypatch):
    monkeypatch.setattr(module, "ALL_PAIRS", 10)
    structure = cluster(12, 3)
    assert as_set(neighbours(structure, 3.0)) == by_hand(structure, 3.0)


@pytest.mark.parametrize("atoms", [1, 2])
def test_few_atoms(atoms):
    found = neighbours(cluster(atoms, 0), 1e-3)
    assert found.senders.shape == (0,)
    assert found.vectors.shape == (0, 3)


def test_importing_atoms_and_their_files_is_light():
    heavy = ["jax", "ase", "h5py", "rdkit", "matplotlib", "pyscf", "typer"]
    code = f"import sys, kshot.atoms.files; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
