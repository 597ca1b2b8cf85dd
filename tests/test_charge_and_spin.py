"""Charge and spin: stated, taken and said to be, or refused; wherever a structure enters."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import kshot
from kshot.atoms import Labelled, Labels, Structure
from kshot.atoms.files import read_structures, scan, write
from kshot.atoms.reading import Reading
from kshot.atoms.species import Tally
from kshot.atoms.spin import Origins, Stated, charge_and_spin
from kshot.cli.main import app
from kshot.core.errors import DataError, KshotError, UnseenError
from kshot.labelers import labeler
from methanol import METHANOL

METHYLAMMONIUM = """8
{comment}
C  0.000 0.000 0.000
N  0.000 0.000 1.510
H  1.020 0.000 -0.360
H -0.510 0.883 -0.360
H -0.510 -0.883 -0.360
H -0.950 0.000 1.850
H  0.475 0.823 1.850
H  0.475 -0.823 1.850
"""
METHYL = """4
{comment}
C 0.0 0.0 0.0
H 1.08 0.0 0.0
H -0.54 0.935 0.0
H -0.54 -0.935 0.0
"""


def run(*words: str | Path):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words: str | Path) -> str:
    result = run(*words)
    assert isinstance(result.exception, KshotError), result.output
    return str(result.exception)


@pytest.fixture
def ammonium(tmp_path: Path) -> Path:
    path = tmp_path / "ammonium.xyz"
    path.write_text(METHYLAMMONIUM.format(comment="from a drawing program"))
    return path


def adapted(path: Path, tmp_path: Path, *options: str) -> tuple[str | Path, ...]:
    budget = ("--budget", "6", "--engine", "gfn2", "--workers", "1")
    return ("adapt", "bio-small", path, "-o", tmp_path / "out.kshot", *budget, *options)


def test_an_ion_without_its_charge_is_refused_before_anything_is_spent(ammonium, tmp_path):
    words = refused(*adapted(ammonium, tmp_path))
    assert "19 electrons are an odd number and no spin is given" in words
    assert "--charge 1" in words
    assert "--spin 2" in words
    assert {path.name for path in tmp_path.iterdir()} == {"ammonium.xyz"}


def test_a_spin_that_the_start_has_not_seen_is_refused_unless_allowed(tmp_path):
    path = tmp_path / "methyl.xyz"
    path.write_text(METHYL.format(comment="total_spin=2"))
    with pytest.raises(UnseenError, match="multiplicities that the model has seen: 1; got 2"):
        raise run(*adapted(path, tmp_path)).exception
    allowed = run(*adapted(path, tmp_path, "--allow", "multiplicities", "--budget", "1"))
    assert "a budget of two labels" in str(allowed.exception)  # the next thing that is looked at


def test_a_charge_beyond_those_seen_is_refused(ammonium, tmp_path):
    words = refused(*adapted(ammonium, tmp_path, "--charge", "3"))
    assert "charges that the model has seen" in words
    assert "+3" in words


def test_python_refuses_as_the_command_does():
    methyl = Structure(np.array([6, 1, 1, 1]), METHANOL.positions[[0, 2, 3, 4]], multiplicity=2)
    labelled = [Labelled(methyl, Labels(0.0, np.zeros((4, 3))))] * 3
    with pytest.raises(UnseenError, match="multiplicities"):
        kshot.adapt("bio-small", labelled)
    with pytest.raises(KshotError, match=r"2 labels|two labels"):
        kshot.adapt("bio-small", labelled[:1], allow=["multiplicities"])


@pytest.mark.parametrize(
    ("comment", "options", "said"),
    [
        ("", ("--charge", "1"), "charge +1 (from the option), spin (2S + 1) not given: taken as 1"),
        ("", ("--spin", "2"), "charge not given: taken as 0, spin (2S + 1) 2 (from the option)"),
        ("total_charge=1 total_spin=1", (), "charge +1 (from the file), spin (2S + 1) 1 (from the"),
        ("charge=1", ("--charge", "1"), "charge +1 (from the file)"),
    ],
)
def test_label_says_what_it_has_read(tmp_path, comment, options, said):
    path = tmp_path / "in.xyz"
    path.write_text(METHYLAMMONIUM.format(comment=comment))
    out = tmp_path / "out.extxyz"
    result = run("label", path, "--ledger", tmp_path / "l.db", "-o", out, *options)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("CH6N: 8 atoms, ")
    assert said in result.stderr
    assert "; 1 frame" in result.stderr
    (written,) = scan(out)
    assert written.origins == Origins("file", "file")
    expected = (0, 2) if "2" in options else (1, 1)
    assert (written.structure.charge, written.structure.multiplicity) == expected


@pytest.mark.parametrize(
    ("comment", "options"),
    [
        ("total_charge=1", ("--charge", "-1")),
        ("total_charge=1 total_spin=1", ("--spin", "3")),
        ("total_charge=0", ("--charge", "1")),
        ("total_charge=1", ("--spin", "2")),  # an even number of electrons has no doublet
    ],
)
def test_what_contradicts_the_file_or_itself_is_refused(tmp_path, comment, options):
    path, ledger = tmp_path / "in.xyz", tmp_path / "l.db"
    path.write_text(METHYLAMMONIUM.format(comment=comment))
    words = refused("label", path, "--ledger", ledger, *options)
    assert "contradicts" in words or "odd multiplicity" in words
    assert not ledger.exists()


def test_eval_and_convert_take_charge_and_spin(tmp_path):
    engine = labeler("gfn2")
    path = tmp_path / "in.xyz"
    path.write_text(METHYLAMMONIUM.format(comment="total_charge=1"))
    (ion,) = read_structures(path)
    write(tmp_path / "labelled.extxyz", [Labelled(ion, engine.label(ion))])
    bare = (tmp_path / "labelled.extxyz").read_text()
    path.write_text(bare.replace("total_charge=1 total_spin=1", ""))
    assert "no spin is given" in refused("eval", "bio-small", path)
    result = run("eval", "bio-small", path, "--charge", "1", "--json")
    assert json.loads(result.stdout)["frames"] == 1
    assert "charge +1 (from the option)" in result.stderr
    out = tmp_path / "converted.extxyz"
    assert "no spin is given" in refused("data", "convert", path, "-o", out)
    result = run("data", "convert", path, "-o", out, "--charge", "1")
    assert "charge +1 (from the option)" in result.stderr
    assert next(read_structures(out)).charge == 1


def test_one_line_for_each_species(tmp_path):
    path = tmp_path / "two.xyz"
    text = METHYLAMMONIUM.format(comment="total_charge=1")
    path.write_text(text + METHYL.format(comment="total_spin=2") + text)
    tally = Tally()
    list(tally.watch(scan(path)))
    ion = "CH6N: 8 atoms, charge +1 (from the file), spin (2S + 1) not given: taken as 1; 2 frames"
    methyl = "CH3: 4 atoms, charge not given: taken as 0, spin (2S + 1) 2 (from the file); 1 frame"
    assert tally.lines() == [ion, methyl]


def test_a_lone_atom_is_in_its_ground_state_and_that_is_said():
    oxygen = charge_and_spin(np.array([8]), {})
    assert (oxygen.charge, oxygen.multiplicity, oxygen.problems) == (0, 3, ())
    assert oxygen.origins == Origins("taken", "taken")


def test_published_arrays_take_a_charge_too(tmp_path):
    numbers, positions = np.array([8, 1, 1, 1]), np.eye(4, 3)[None] * 1.5
    arrays = {"nuclear_charges": numbers, "coords": positions, "energies": np.zeros(1)}
    np.savez(tmp_path / "hydronium.npz", **arrays, forces=np.zeros((1, 4, 3)))
    with pytest.raises(DataError, match="11 electrons are an odd number"):
        list(read_structures(tmp_path / "hydronium.npz"))
    stated = Reading(stated=Stated(charge=1))
    (ion,) = read_structures(tmp_path / "hydronium.npz", stated)
    assert (ion.charge, ion.multiplicity) == (1, 1)
