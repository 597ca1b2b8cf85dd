"""Invariance, continuity, near-duplicates and farthest points."""

import numpy as np
import pytest
from ase.build import molecule
from ase.collections import g2
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from kshot.atoms import (
    Structure,
    descriptor,
    descriptors,
    farthest_points,
    near_duplicates,
)
from kshot.atoms.descriptors import spectrum
from kshot.core.errors import OptionError


def of(name: str) -> Structure:
    atoms = molecule(name)
    return Structure(atoms.numbers, atoms.positions)


def turned(structure: Structure, seed: int) -> Structure:
    """Rotate, reflect, shift and renumber."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(structure))
    rotation = Rotation.random(random_state=seed).as_matrix() * rng.choice([-1, 1])
    positions = structure.positions[order] @ rotation + rng.normal(size=3) * 5
    return structure.replace(numbers=structure.numbers[order], positions=positions)


def rattled(structure: Structure, sigma: float, seed: int) -> Structure:
    noise = np.random.default_rng(seed).normal(size=(len(structure), 3)) * sigma
    return structure.replace(positions=structure.positions + noise)


@given(st.sampled_from(["CH3CH2OH", "C6H6", "H2O", "HCN", "H2", "CH4"]), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_descriptors_are_invariant(name, seed):
    structure = of(name)
    same = turned(structure, seed)
    np.testing.assert_allclose(descriptor(same), descriptor(structure), atol=1e-10)
    np.testing.assert_allclose(spectrum(same), spectrum(structure), atol=1e-10)


def test_one_length_for_all_and_all_molecules_differ():
    rows = descriptors([of(name) for name in g2.names])
    assert rows.shape == (len(g2.names), 416)
    gaps = np.linalg.norm(rows[:, None] - rows, axis=2) + np.eye(len(rows))
    # The closest two are H2CCHCl-like pairs; copies are at 1e-15.
    assert gaps.min() > 1e-3


def test_descriptor_is_continuous():
    structure = of("CH3CH2OH")
    start = descriptor(structure)
    for seed in range(5):
        gaps = [
            np.linalg.norm(descriptor(rattled(structure, s, seed)) - start) for s in (1e-3, 1e-4)
        ]
        assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.1)


def test_lone_atom_has_a_descriptor():
    a, b = (descriptor(Structure(np.array([z]), np.zeros((1, 3)))) for z in (1, 6))
    assert a.shape == (416,)
    assert np.linalg.norm(a - b) > 0.1
    assert spectrum(Structure(np.array([1]), np.zeros((1, 3)))).shape == (0,)


@given(st.integers(0, 10**6), st.floats(0.001, 0.3))
@settings(max_examples=40, deadline=None)
def test_spectrum_moves_no_more_than_its_atoms(seed, size):
    structure = of("C6H6")
    moved = rattled(structure, size, seed)
    displacement = np.linalg.norm(moved.positions - structure.positions, axis=1).max()
    gap = np.linalg.norm(spectrum(moved) - spectrum(structure))
    assert 0 < gap <= 2 * displacement


def test_spectrum_of_many_atoms_is_averaged_in_blocks():
    positions = np.random.default_rng(0).normal(size=(60, 3)) * 8
    large = Structure(np.full(60, 6), positions)
    assert spectrum(large).shape == (128,)
    assert np.linalg.norm(spectrum(rattled(large, 0.05, 1)) - spectrum(large)) > 0.001
    assert near_duplicates([large, turned(large, 3), rattled(large, 0.3, 1)], 1e-6) == [(0, 1)]


def test_near_duplicates_by_hand():
    ethanol, benzene = of("CH3CH2OH"), of("C6H6")
    isomer = of("CH3OCH3")  # the same composition
    given_ = [
        ethanol,
        benzene,
        turned(ethanol, 1),
        isomer,
        rattled(ethanol, 0.1, 2),
        rattled(benzene, 0.001, 3),
        ethanol.replace(charge=1, multiplicity=2),
    ]
    assert near_duplicates(given_) == [(0, 2), (0, 6), (1, 5), (2, 6)]
    assert near_duplicates(given_, 1e-6) == [(0, 2), (0, 6), (2, 6)]
    assert near_duplicates([]) == []


@given(st.lists(st.integers(0, 6), min_size=2, max_size=25), st.floats(0.005, 0.1))
@settings(max_examples=30, deadline=None)
def test_near_duplicates_equal_brute_force(seeds, tolerance):
    frames = [rattled(of("H2O"), 0.02, seed) for seed in seeds]
    spectra = np.array([spectrum(frame) for frame in frames])
    brute = [
        (i, j)
        for i in range(len(frames))
        for j in range(i + 1, len(frames))
        if np.linalg.norm(spectra[i] - spectra[j]) < tolerance
    ]
    assert near_duplicates(frames, tolerance) == brute


def test_near_duplicates_across_a_periodic_boundary():
    cell = {"cell": 10 * np.eye(3), "pbc": np.ones(3, bool)}
    water = of("H2O").replace(**cell)
    wrapped = water.replace(positions=(water.positions + 5.1) % 10)
    assert near_duplicates([water, wrapped]) == [(0, 1)]


def test_farthest_points_cover():
    # Three clusters: three points fall into three of them, wherever one starts.
    rng = np.random.default_rng(0)
    points = np.repeat([[0.0, 0], [10, 0], [0, 10]], 20, axis=0) + rng.normal(size=(60, 2)) * 0.1
    for seed in range(5):
        chosen = farthest_points(points, 3, seed)
        assert sorted(chosen // 20) == [0, 1, 2]
        assert np.array_equal(chosen, farthest_points(points, 3, seed))
    assert len({int(farthest_points(points, 1, seed)[0]) for seed in range(20)}) > 5


@given(st.integers(1, 12), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_farthest_points_chooses_none_twice(k, seed):
    points = np.zeros((12, 3))  # all alike
    assert len(set(farthest_points(points, k, seed).tolist())) == k


@pytest.mark.parametrize("k", [0, 4, -1])
def test_farthest_points_refuses(k):
    with pytest.raises(OptionError, match="from 1 to the 3"):
        farthest_points(np.zeros((3, 2)), k)
