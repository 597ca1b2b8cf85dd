"""Atoms of ASE as frames: the same structures and labels as from files, and nothing guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.io import read
from hypothesis import given
from hypothesis import strategies as st

import kshot
from kshot.atoms import Fingerprint, Labelled, Labels, Structure
from kshot.atoms.asedb import to_ase
from kshot.atoms.extxyz_write import write_extxyz
from kshot.atoms.from_ase import frame_of
from kshot.atoms.reading import BARE, REF, Reading
from kshot.atoms.spin import Stated
from kshot.core.errors import DataError
from springs import rattled, start

LEVEL = Fingerprint("pyscf", "2.14.0", "wb97x-d3bj", "def2-svp")
WATER = Structure(
    np.array([8, 1, 1]), np.array([[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
)


def same(frame: Labelled, other: Labelled) -> None:
    assert frame.structure.key == other.structure.key
    np.testing.assert_array_equal(frame.structure.positions, other.structure.positions)
    assert frame.labels.energy == other.labels.energy
    np.testing.assert_array_equal(frame.labels.forces, other.labels.forces)
    assert frame.labels.fingerprint == other.labels.fingerprint


@given(
    energy=st.floats(-1e6, 1e6),
    seed=st.integers(0, 2**32 - 1),
    charge=st.sampled_from([-2, 0, 2]),
    isotopes=st.booleans(),
    periodic=st.booleans(),
)
def test_what_goes_to_ase_comes_back(energy, seed, charge, isotopes, periodic):
    rng = np.random.default_rng(seed)
    structure = WATER.replace(
        charge=charge,
        masses=np.array([15.999, 2.014, 1.008]) if isotopes else None,
        cell=np.diag([9.0, 10.0, 11.0]) if periodic else None,
        pbc=np.full(3, periodic),
        info={"trajectory": "a", "step": 3},
    )
    stress = rng.standard_normal((3, 3)) if periodic else None
    labels = Labels(
        energy, rng.standard_normal((3, 3)), None if stress is None else stress + stress.T
    )
    frame = frame_of(to_ase(structure, labels), "here").require_labelled()
    same(frame, Labelled(structure, labels))
    assert dict(frame.structure.info) == dict(structure.info)
    if periodic:
        np.testing.assert_array_equal(frame.labels.stress, labels.stress)


def test_our_own_files_are_read_by_ase_with_labels(tmp_path: Path):
    frames = [
        Labelled(one.structure, Labels(one.labels.energy, one.labels.forces, fingerprint=LEVEL))
        for one in rattled(3)
    ]
    write_extxyz(tmp_path / "labels.extxyz", frames)
    for atoms, frame in zip(read(tmp_path / "labels.extxyz", ":"), frames, strict=True):
        same(frame_of(atoms, "here").require_labelled(), frame)


def test_a_charge_of_numpy_is_a_charge():
    atoms = to_ase(WATER)
    atoms.info.update(total_charge=np.int64(2), total_spin=np.int32(1))
    assert frame_of(atoms, "here").require_structure().charge == 2


def test_a_charge_that_nobody_states_is_taken_and_said_to_be():
    frame = frame_of(Atoms("OH2", WATER.positions), "here")
    assert frame.origins.charge == "taken"
    stated = frame_of(Atoms("OH2", WATER.positions), "here", Reading(stated=Stated(charge=2)))
    assert (stated.require_structure().charge, stated.origins.charge) == (2, "option")


def test_an_odd_number_of_electrons_without_a_spin_is_refused():
    with pytest.raises(DataError, match="structure 7"):
        frame_of(Atoms("OH", [[0, 0, 0], [0, 0, 1]]), "structure 7").require_structure()


def test_two_kinds_of_labels_are_not_guessed_between():
    atoms = to_ase(WATER, Labels(1.0, np.ones((3, 3))))
    atoms.info["REF_energy"], atoms.arrays["REF_forces"] = 2.0, np.zeros((3, 3))
    with pytest.raises(DataError, match="state keys="):
        frame_of(atoms, "here").require_labelled()
    for keys, energy in ((REF, 2.0), (BARE, 1.0)):
        assert (
            frame_of(atoms, "here", Reading(keys=keys)).require_labelled().labels.energy == energy
        )


def test_a_calculator_is_not_run():
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 3]])
    atoms.calc = LennardJones()
    with pytest.raises(DataError, match="there are no labels"):
        frame_of(atoms, "here").require_labelled()
    atoms.get_forces()
    assert frame_of(atoms, "here").require_labelled().labels.energy == atoms.get_potential_energy()


def test_a_fingerprint_of_somebody_else_is_named():
    atoms = to_ase(WATER, Labels(1.0, np.ones((3, 3))))
    atoms.info["fingerprint"] = "mine"
    with pytest.raises(DataError, match="a fingerprint of kshot"):
        frame_of(atoms, "here")


def test_a_start_is_adapted_to_atoms_as_to_labelled_frames():
    frames = rattled(4)
    atoms = [to_ase(frame.structure, frame.labels) for frame in frames]
    for bare in atoms:
        del bare.info["total_charge"], bare.info["total_spin"]
    options = {"methods": ("shift", "uniform"), "allow": ("units",)}
    ours = kshot.adapt(start(), frames, **options)
    theirs = kshot.adapt(start(), atoms, **options)
    assert theirs.energy(frames[0].structure) == ours.energy(frames[0].structure)
    assert any("charge not given: taken as 0" in note for note in theirs.notes)
    assert not any("taken" in note for note in ours.notes)
    atoms[0].info["total_charge"] = 0
    with pytest.raises(DataError, match=r"structure 0: .* contradicts the charge 1"):
        kshot.adapt(start(), atoms, charge=1, **options)
