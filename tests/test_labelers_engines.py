"""Engines: their contract, what they would pass over in silence, and their names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.atoms import Failure, Labelled, Labels, Structure
from kshot.atoms.files import write
from kshot.core.errors import ContractError, InputError, MissingExtraError, UnknownNameError
from kshot.core.units import HARTREE
from kshot.labelers import SpotChecked, labeler, labelers
from kshot.labelers.examples import displaced, water
from kshot.labelers.pyscf.level import Level
from kshot.testing import check_labeler
from labelers_trouble import WrongForces

# Energies of `water()` in eV from other sources: tblite's and PySCF's own interfaces in their own
# units, ASE's EMT called directly, and the Morse sum by hand.
REFERENCES = {
    "gfn2": -5.0695624609 * HARTREE,
    "gfn1": -5.7677881939 * HARTREE,
    "pyscf": -74.960516607 * HARTREE,
    "ase": 2.867587836,
    "analytic": -4.832496802,
    "replay": -4.832496802,
}


@pytest.fixture(autouse=True)
def one_thread():
    from pyscf import lib

    with lib.with_omp_threads(1):
        yield


def molecule(numbers, positions, **kind) -> Structure:
    return Structure(np.array(numbers), np.array(positions, float), **kind)


def oxygen(multiplicity: int) -> Structure:
    return molecule([8, 8], [[0, 0, 0], [0, 0, 1.21]], multiplicity=multiplicity)


@pytest.mark.parametrize("name", list(labelers))
def test_contract(name):
    check_labeler(lambda: labelers.example(name), REFERENCES[name])


def test_contract_sees_gradients_given_as_forces():
    with pytest.raises(ContractError, match="minus central differences"):
        check_labeler(lambda: WrongForces(labeler("analytic")))


def test_contract_sees_other_units():
    with pytest.raises(ContractError, match="HARTREE"):
        check_labeler(lambda: labeler("analytic"), reference=REFERENCES["analytic"] / HARTREE)


@pytest.mark.parametrize("name", ["gfn2", "gfn1"])
def test_triplet_oxygen_lies_below_the_singlet(name):
    energies = [labeler(name).label(oxygen(m)).energy for m in (3, 1)]
    assert energies[0] < energies[1] - 0.3


# What tblite answers with a number and without a word.
SILENT = {
    "close": water().replace(positions=np.array([[0, 0, 0], [0, 0, 0.05], [0, 0.9, -0.3]])),
    "charge": water().replace(charge=60),
    "parity": molecule([8, 1], [[0, 0, 0], [0, 0, 0.98]]),
    "element X": molecule([0, 1, 1], [[0, 0, 0], [0, 0, 0.98], [0, 0.9, -0.3]]),
    "no electron": molecule([1], [[0, 0, 0]], charge=1),
    "too heavy": molecule([92], [[0, 0, 0]]),
}


@pytest.mark.parametrize("case", SILENT)
def test_silent_successes_are_failures(case):
    result = labeler("gfn2").label(SILENT[case])
    assert isinstance(result, Failure)
    assert result.reason == "refused"


def test_unconverged_electrons_are_a_failure():
    assert labeler("gfn2", max_iterations=1).label(water()).reason == "not converged"


def test_forces_no_molecule_has_are_a_failure():
    squeezed = water().replace(positions=water().positions * 0.6)
    assert labeler("gfn2").label(squeezed).reason in ("unphysical", "refused")


def test_reused_calculator_gives_the_same_bits():
    engine, near = labeler("gfn2"), list(displaced(water(), 0.05))[:4]
    one_after_the_other = [engine.label(structure).energy for structure in near]
    engine.label(oxygen(3))
    assert [labeler("gfn2").label(s).energy for s in near] == one_after_the_other
    assert engine.label(near[0]).energy == one_after_the_other[0]


def test_periodic_stress_is_the_energy_under_strain():
    cell = np.diag([6.0, 6.5, 7.0])
    crystal = water().replace(cell=cell, pbc=np.ones(3, bool))
    engine, strain = labeler("gfn2"), 1e-4
    energies = []
    for sign in (1, -1):
        stretch = np.diag([1 + sign * strain, 1, 1])
        moved = crystal.replace(cell=cell @ stretch, positions=crystal.positions @ stretch)
        energies.append(engine.label(moved).energy)
    slope = (energies[0] - energies[1]) / (2 * strain) / np.linalg.det(cell)
    assert engine.label(crystal).stress[0, 0] == pytest.approx(slope, abs=1e-5)


def test_solvent_is_part_of_the_level():
    wet, dry = labeler("gfn2", solvent="water"), labeler("gfn2")
    assert wet.fingerprint != dry.fingerprint
    assert wet.label(water()).energy < dry.label(water()).energy


@pytest.mark.parametrize("name", ["pyscf:mp2/sto-3g", "pyscf:ccsd(t)/sto-3g", "pyscf:pbe/sto-3g"])
def test_pyscf_forces(name):
    check_labeler(lambda: labeler(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pyscf", "pyscf:ccsd(t)/cc-pvdz"])
def test_pyscf_forces_at_real_levels(name):
    check_labeler(lambda: labeler(name))


def test_pyscf_open_shells():
    nh2 = molecule([7, 1, 1], [[0, 0, 0], [0, 0.8, 0.63], [0.05, -0.82, 0.6]], multiplicity=2)
    check_labeler(lambda: labeler("pyscf:mp2/sto-3g"), structure=nh2)
    assert labeler("pyscf:ccsd(t)/sto-3g").label(nh2).reason == "refused"


def test_pyscf_dispersion_is_in_the_energy():
    plain, corrected = (labeler(f"pyscf:{m}/sto-3g").label(water()) for m in ("pbe", "pbe-d3bj"))
    assert 1e-3 < plain.energy - corrected.energy < 0.1


def test_pyscf_basis_without_the_element_is_refused():
    result = labeler("pyscf:hf/6-31g").label(molecule([92], [[0, 0, 0]]))
    assert result.reason == "refused"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gfn3", "gfn"),
        ("pyscf:b3lypp/def2-svp", "b3lyp"),
        ("pyscf:pbe/def2-svpp", "def2-svp"),
        ("pyscf:wb97x-d/def2-svp", "wb97x-d"),
        ("pyscf:m06-2x-d3bj/def2-svp", "m06-2x"),
    ],
)
def test_unknown_names_get_a_suggestion(name, hint):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{hint}"):
        labeler(name)


@pytest.mark.parametrize(
    "name", ["pyscf:pbe", "ase:nothing", "replay", "ase:ase.calculators.emt:X"]
)
def test_names_that_say_too_little(name):
    with pytest.raises(InputError):
        labeler(name)


@given(st.text(max_size=20))
def test_no_name_crashes_the_parser(text):
    try:
        level = Level.parse(text)
    except (InputError, UnknownNameError):
        return
    assert "/" in text
    assert level.basis


def test_engine_not_installed(monkeypatch):
    with pytest.raises(MissingExtraError, match="not installed"):
        labeler("ase:no_such_package.calculators:Fast")
    monkeypatch.setattr("kshot.labelers.pyscf.level.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kshot\[dft\]'"):
        labeler("pyscf")


def test_unknown_setting():
    with pytest.raises(InputError, match="temprature"):
        labeler("gfn2", temprature=300)


def test_program_of_a_calculator_not_installed():
    engine = labeler("ase:ase.calculators.nwchem:NWChem", command="no_such_program PREFIX.nwi")
    result = engine.label(water().replace(charge=0))
    assert isinstance(result, Failure)


def test_ase_is_told_charge_and_spin_or_refuses():
    told = labeler("ase:tblite.ase:TBLite", method="GFN2-xTB", verbosity=0)
    ion = molecule([8, 1], [[0, 0, 0], [0, 0, 0.97]], charge=-1)
    assert told.label(ion).energy == pytest.approx(labeler("gfn2").label(ion).energy, abs=1e-4)
    not_told = labeler("ase:ase.calculators.emt:EMT")
    assert not_told.label(ion).reason == "refused"


def test_spot_check():
    right, wrong = labeler("analytic"), WrongForces(labeler("analytic"))
    assert isinstance(SpotChecked(right, share=1.0).label(water()), Labels)
    assert SpotChecked(wrong, share=1.0).label(water()).reason == "unphysical"
    assert isinstance(SpotChecked(wrong, share=0.0).label(water()), Labels)


def test_replay(tmp_path):
    engine = labeler("analytic")
    path = tmp_path / "labels.extxyz"
    write(path, [Labelled(water(), engine.label(water()))])
    stored = labeler(f"replay:{path}")
    assert stored.fingerprint == engine.fingerprint
    assert stored.label(water()).energy == engine.label(water()).energy
    moved = water().replace(positions=water().positions + 0.01)
    assert stored.label(moved).reason == "refused"


def test_replay_never_mixes_levels(tmp_path):
    path, engines = tmp_path / "two.extxyz", [labeler("analytic"), labeler("gfn2")]
    write(path, [Labelled(water(), engine.label(water())) for engine in engines])
    with pytest.raises(InputError, match="Choose one"):
        labeler(f"replay:{path}")
    chosen = labeler(f"replay:{path}", fingerprint=engines[1].fingerprint.digest)
    assert chosen.label(water()).energy == engines[1].label(water()).energy
