"""What shots cover: seen frames, other bonds, stereochemistry and conformers are told."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.atoms import Labelled, Labels, Structure
from kshot.atoms.asedb import to_ase
from kshot.core.errors import ModelFileError
from kshot.pipeline.evaluate import evaluate
from kshot.pipeline.seen import remembered
from kshot.potentials.coverage import Coverage, CoverageWarning, coverage_in, coverage_of
from kshot.potentials.model import Model
from kshot.potentials.model_file import load, save
from methanol import METHANOL
from springs import rattled, start


def embedded(smiles: str, seed: int = 1) -> Structure:
    """A geometry of a SMILES from RDKit; the order of atoms is that of the text."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=seed)
    AllChem.MMFFOptimizeMolecule(molecule)
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return Structure(numbers, molecule.GetConformer().GetPositions())


def shaken(structure: Structure, count: int, seed: int = 0) -> list[Structure]:
    rng = np.random.default_rng(seed)
    moves = 0.03 * rng.standard_normal((count, *structure.positions.shape))
    return [structure.replace(positions=structure.positions + move) for move in moves]


def kinds(coverage: Coverage, structure: Structure) -> set[str]:
    return {departure.kind for departure in coverage.departures(structure)}


def words(coverage: Coverage, structure: Structure) -> str:
    return "; ".join(departure.words for departure in coverage.departures(structure))


@pytest.mark.parametrize(
    ("shot", "other", "atoms"),
    [
        ("C[C@H](F)[C@H](O)C", "C[C@H](F)[C@@H](O)C", ("C1", "C3")),
        ("C/C=C/F", "C/C=C\\F", ("C1, C2",)),
        ("C[C@@H]1CC[C@H](O)CC1", "C[C@@H]1CC[C@@H](O)CC1", ("C1", "C4")),
        ("CC(=O)N/C=C/F", "CC(=O)N/C=C\\F", ("C4, C5",)),
    ],
)
def test_another_stereoisomer_is_told_with_its_atoms(shot, other, atoms):
    coverage = coverage_of(shaken(embedded(shot), 8))
    assert "stereochemistry" in kinds(coverage, embedded(other))
    assert any(f"at {names}" in words(coverage, embedded(other)) for names in atoms)
    for fresh in shaken(embedded(shot), 8, seed=1):
        assert not kinds(coverage, fresh)


def test_the_mirror_image_is_covered():
    molecule = embedded("C[C@H](F)[C@H](O)C")
    coverage = coverage_of(shaken(molecule, 8))
    assert not kinds(coverage, molecule.replace(positions=molecule.positions * [1, 1, -1]))


def test_another_conformer_is_far():
    shots = shaken(embedded("CCCCO", seed=1), 10)
    stretched = embedded("CCCCO", seed=1)
    axis = stretched.positions[2] - stretched.positions[1]
    turned = stretched.positions.copy()
    # the methyl end turns by 120 degrees about the bond C1-C2
    from scipy.spatial.transform import Rotation

    spin = Rotation.from_rotvec(2 * np.pi / 3 * axis / np.linalg.norm(axis))
    first = [0, *(i for i in range(5, len(turned)) if _bonded_to(stretched, i, (0, 1)))]
    turned[first] = spin.apply(turned[first] - turned[1]) + turned[1]
    assert kinds(coverage_of(shots), stretched.replace(positions=turned)) == {"distance"}


def _bonded_to(structure: Structure, atom: int, centres: tuple[int, ...]) -> bool:
    gaps = np.linalg.norm(structure.positions[list(centres)] - structure.positions[atom], axis=1)
    return bool((gaps < 1.3).any())


def test_a_broken_bond_is_told():
    coverage = coverage_of([one.structure for one in rattled(6)])
    moved = METHANOL.positions.copy()
    moved[5] = moved[0] + [0.0, 0.1, -1.09]  # the hydroxyl's hydrogen goes to the carbon
    isomer = METHANOL.replace(positions=moved)
    assert "bonds" in kinds(coverage, isomer)
    assert "O1–H5 broken" in words(coverage, isomer)
    assert "C0–H5" in words(coverage, isomer)


def test_another_charge_or_formula_is_no_shot():
    coverage = coverage_of([one.structure for one in rattled(6)])
    assert kinds(coverage, METHANOL.replace(charge=1, multiplicity=2)) == {"molecule"}
    assert "no shot is C2H6O" in words(coverage, embedded("CCO"))


def test_numbering_does_not_matter_for_distances():
    frames = [one.structure for one in rattled(6)]
    order = np.array([5, 3, 0, 2, 1, 4])
    frame = frames[0]
    turned = frame.replace(numbers=frame.numbers[order], positions=frame.positions[order])
    assert not kinds(coverage_of(frames), turned)


def remembering(frames: list[Labelled]) -> Model:
    """A start that says it was adapted to frames."""
    return start().with_(record=remembered(start(), frames))


def test_frames_of_the_adaptation_are_counted(tmp_path):
    shots, fresh = rattled(6), rattled(5, seed=1)
    model = remembering(shots)
    save(model, tmp_path / "adapted.kshot")
    found = evaluate(load(tmp_path / "adapted.kshot"), [*shots[:2], *fresh])
    assert found.frames_seen_in_adaptation == 2
    assert found.frames_beyond_shots == 0
    assert "2 of 7 frames were seen in adaptation" in found.warnings[0]
    assert json.loads(json.dumps(found.to_dict()))["frames_seen_in_adaptation"] == 2
    assert evaluate(model, fresh).warnings == ()
    # a second adaptation remembers the shots of the first, too
    again = model.with_(record=remembered(model, fresh))
    assert evaluate(again, [*shots, *fresh]).frames_seen_in_adaptation == 11


def test_frames_beyond_the_shots_are_counted():
    model = remembering(rattled(6))
    moved = METHANOL.positions.copy()
    moved[5] = moved[0] + [0.0, 0.1, -1.09]
    isomer = Labelled(METHANOL.replace(positions=moved), Labels(0.0, np.zeros((6, 3))))
    found = evaluate(model, [isomer, *rattled(2, seed=1)])
    assert found.frames_beyond_shots == 1
    assert any("1 of 3 frames leave the shots by bonds" in text for text in found.warnings)


def walk(atoms: Any, steps: int) -> None:
    for _ in range(steps):
        atoms.positions[0, 0] += 1e-4
        atoms.get_potential_energy()


def test_the_calculator_warns_once():
    calculator = remembering(rattled(6)).calculator()
    atoms = to_ase(METHANOL)
    atoms.calc = calculator
    atoms.get_potential_energy()
    assert calculator.departures == ()
    atoms.positions[5] += [2.0, 0.0, 0.0]
    with pytest.warns(CoverageWarning, match="O1–H5 broken") as caught:
        walk(atoms, 30)
    assert len(caught) == 1
    assert {departure.kind for departure in calculator.departures} >= {"bonds"}


def test_what_is_written_says_the_same():
    coverage = coverage_of(shaken(embedded("C[C@H](F)[C@H](O)C"), 12))
    again = coverage_in({"coverage": json.loads(json.dumps(coverage.to_json()))})
    assert again is not None
    assert again.keys == coverage.keys
    for structure in (*shaken(embedded("C[C@H](F)[C@@H](O)C"), 2), METHANOL):
        assert words(again, structure) == words(coverage, structure)
    assert len(json.dumps(coverage.to_json())) < 8000


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["keys", "covers"]), st.lists(st.text(max_size=3))))
def test_a_damaged_record_is_refused(written):
    try:
        found = coverage_in({"coverage": written})
    except ModelFileError:
        return
    assert found is not None
    assert found.covers == ()
