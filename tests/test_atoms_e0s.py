"""E0s: from atoms, dictionaries, engines and regressions with a prior."""

import numpy as np
import pytest
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.atoms import Failure, Fingerprint, Labeler, Labelled, Labels, Structure
from kshot.atoms.e0s import E0s, e0s_from_atoms, e0s_from_dictionary, e0s_from_labeler, fit_e0s
from kshot.core.errors import DataError

TRUTH = {1: -13.6, 6: -1030.1, 7: -1480.2, 8: -2041.3}
LEVEL = Fingerprint("fake", "1", "sum of atoms")


def atom(number: int, energy: float, multiplicity: int = 0, charge: int = 0, level=LEVEL):
    spin = multiplicity or 1 + (number - charge) % 2
    structure = Structure(np.array([number]), np.zeros((1, 3)), charge, spin)
    return Labelled(structure, Labels(energy, np.zeros((1, 3)), fingerprint=level))


def frame(name: str, binding: float = 0.0) -> Labelled:
    atoms = molecule(name)
    energy = sum(TRUTH[z] for z in atoms.numbers.tolist()) + binding
    return Labelled(
        Structure(atoms.numbers, atoms.positions), Labels(energy, np.zeros((len(atoms), 3)))
    )


def test_from_lone_atoms_the_lowest_neutral_spin_counts():
    frames = [
        frame("H2O"),
        atom(1, -13.6),
        atom(8, -2040.0, 1),
        atom(8, -2041.3, 3),
        atom(8, -2030.0, 2, charge=1),
    ]
    e0s = e0s_from_atoms(frames)
    assert e0s == E0s({1: -13.6, 8: -2041.3}, "isolated atoms")
    assert e0s.sum(frames[0].structure) == pytest.approx(-2068.5, abs=1e-9)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "none"),
        ([frame("H2O")], "none"),
        ([atom(1, -13.6), atom(1, -13.5)], "-13.6 and -13.5 eV for H"),
        ([atom(1, -13.6), atom(8, -2041.3, level=None)], "None and sum of atoms"),
        ([atom(1, 0.0, 1, charge=1)], "none"),
    ],
)
def test_lone_atoms_that_cannot_be_used(frames, words):
    with pytest.raises(DataError, match=words):
        e0s_from_atoms(frames)


def test_from_a_dictionary():
    assert e0s_from_dictionary({"H": -13.6, "C": -1030}).energies == {1: -13.6, 6: -1030.0}
    assert e0s_from_dictionary({1: -13.6}).source == "dictionary"
    for bad in ({"Q": 1.0}, {0: 1.0}, {119: 1.0}, {"H": float("nan")}):
        with pytest.raises(DataError, match="by element"):
            e0s_from_dictionary(bad)


class Atoms(Labeler):
    """Knows lone atoms only, each at its ground state of spin."""

    fingerprint = LEVEL

    def label(self, structure: Structure) -> Labels | Failure:
        number = int(structure.numbers[0])
        if number not in TRUTH:
            return Failure("not converged", "after 250 cycles")
        assert structure.multiplicity == {1: 2, 6: 3, 7: 4, 8: 3}[number]
        return Labels(TRUTH[number], np.zeros((1, 3)))


def test_from_an_engine():
    assert e0s_from_labeler(Atoms(), [8, 1, 1]).energies == {1: -13.6, 8: -2041.3}
    with pytest.raises(DataError, match="not converged for S: after 250 cycles"):
        e0s_from_labeler(Atoms(), [16])


def test_sums_are_float64_and_missing_elements_are_named():
    e0s = e0s_from_dictionary(TRUTH)
    ethanol = frame("CH3CH2OH").structure
    (total,) = e0s.sums([ethanol])
    assert total.dtype == np.float64
    assert total == pytest.approx(6 * -13.6 + 2 * -1030.1 - 2041.3, abs=1e-9)
    with pytest.raises(DataError, match="none of S"):
        e0s.sum(frame("H2O").structure.replace(numbers=np.array([16, 1, 1])))


@given(
    st.dictionaries(st.integers(1, 118), st.floats(-1e6, 1e3), max_size=6),
    st.sampled_from(["isolated atoms", "dictionary", "ridge"]),
)
@settings(max_examples=50, deadline=None)
def test_json_round_trip(energies, source):
    e0s = E0s(energies, source, dict.fromkeys(energies, 0.5))
    assert E0s.from_json(e0s.to_json()) == e0s


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"unit": "Hartree", "source": "ridge", "energies": {}, "widths": {}}',
        '{"unit": "eV", "source": "a friend", "energies": {}, "widths": {}}',
        '{"unit": "eV", "source": "ridge", "energies": {"Q": 1}, "widths": {}}',
        '{"unit": "eV", "source": "ridge", "energies": {"H": "low"}, "widths": {}}',
    ],
)
def test_json_that_is_none(text):
    with pytest.raises(DataError, match="E0s as JSON"):
        E0s.from_json(text)


def test_ridge_finds_the_truth_where_the_data_determine_it():
    names = ["H2O", "CH4", "NH3", "CO2", "HCN", "CH3CH2OH", "N2", "H2", "O2", "CO", "C6H6"]
    prior = E0s(
        {z: e + shift for (z, e), shift in zip(TRUTH.items(), (0.4, -0.6, 0.5, -0.3), strict=True)},
        "dictionary",
    )
    fitted = fit_e0s([frame(name) for name in names], prior, noise=1e-4)
    assert fitted.source == "ridge"
    for z, energy in TRUTH.items():
        assert fitted.energies[z] == pytest.approx(energy, abs=1e-3)
        assert fitted.widths[z] < 1e-2


def test_ridge_on_one_composition_stays_near_the_prior():
    # Least squares may put all 20 eV of cohesion on any element; the prior shares it by count.
    frames = [frame("CH3CH2OH", -20.0 + 0.01 * i) for i in range(10)]
    fitted = fit_e0s(frames, e0s_from_dictionary(TRUTH))
    moves = {z: fitted.energies[z] - TRUTH[z] for z in TRUTH}
    assert moves[7] == 0  # not in the data: as the prior has it, and as wide
    assert fitted.widths[7] == 1.0
    assert moves[1] / 6 == pytest.approx(moves[6] / 2) == pytest.approx(moves[8])
    assert abs(moves[1]) < 3
    left = np.array([f.labels.energy for f in frames]) - fitted.sums([f.structure for f in frames])
    assert np.abs(left).max() < 0.3


def test_ridge_is_the_closed_form_of_two_elements():
    frames = [frame("H2", 1.0), frame("H2O", -2.0)]
    fitted = fit_e0s(frames, e0s_from_dictionary(TRUTH), width=2.0, noise=0.5)
    counts, rest = np.array([[2.0, 0], [2, 1]]), np.array([1.0, -2.0])
    weights = 1 / (0.5 * counts.sum(1)) ** 2
    matrix = counts.T @ (weights[:, None] * counts) + np.eye(2) / 4
    moves = np.linalg.solve(matrix, counts.T @ (weights * rest))
    assert fitted.energies[1] - TRUTH[1] == pytest.approx(moves[0])
    assert fitted.energies[8] - TRUTH[8] == pytest.approx(moves[1])


def test_ridge_needs_frames_and_a_whole_prior():
    with pytest.raises(DataError, match="none"):
        fit_e0s([], e0s_from_dictionary(TRUTH))
    with pytest.raises(DataError, match="none of O"):
        fit_e0s([frame("H2O")], e0s_from_dictionary({"H": -13.6}))


def test_fingerprints_can_be_counted():
    other = Fingerprint("fake", "1", "sum of atoms", settings={"accuracy": 1.0})
    again = Fingerprint.parse(other.text)
    assert len({LEVEL, other, again}) == 2
    assert again == other
