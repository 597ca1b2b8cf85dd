"""`kshot data check`: what must not be used is refused with file and frame; what may, passes."""

import json

import numpy as np
import pytest
from ase.build import molecule
from typer.testing import CliRunner

from kshot.atoms import Fingerprint, Labelled, Labels, Structure
from kshot.atoms.e0s import e0s_from_dictionary
from kshot.atoms.extxyz_write import extxyz_text
from kshot.atoms.files import read_labelled, write
from kshot.atoms.reading import BARE
from kshot.atoms.unit_traps import STIFFNESS
from kshot.cli.data import app
from kshot.core.units import BOHR, HARTREE

E0S = {"H": -13.6, "O": -2041.3}
HOME = molecule("H2O")
LEVEL = Fingerprint("springs", "1", "harmonic")
NOTHING = "nothing forbids their use"


def labels_of(x: np.ndarray) -> Labels:
    """Two springs, as stiff as O–H bonds are, bound by 9 eV."""
    forces, energy = np.zeros((3, 3)), -2041.3 - 2 * 13.6 - 9.0
    for h in (1, 2):
        vector = x[h] - x[0]
        length = np.linalg.norm(vector)
        off = length - HOME.get_distance(0, h)
        energy += 0.5 * STIFFNESS[8] * off**2
        forces[h] -= STIFFNESS[8] * off * vector / length
        forces[0] += STIFFNESS[8] * off * vector / length
    return Labels(float(energy), forces, fingerprint=LEVEL)


def water(count: int = 12, seed: int = 0) -> list[Labelled]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        s = Structure(HOME.numbers, HOME.positions + 0.05 * rng.normal(size=(3, 3)), family="water")
        found.append(Labelled(s, labels_of(s.positions)))
    return found


def lone_atoms() -> list[Labelled]:
    info = {"config_type": "IsolatedAtom"}
    return [
        Labelled(
            Structure(np.array([z]), np.zeros((1, 3)), 0, spin, info=info),
            Labels(energy, np.zeros((1, 3)), fingerprint=LEVEL),
        )
        for z, spin, energy in ((1, 2, -13.6), (8, 3, -2041.3))
    ]


@pytest.fixture
def check(tmp_path):
    """Write frames (or text) and run the command; give its result."""

    def run(frames, *options: str, name: str = "data.extxyz"):
        path = tmp_path / name
        if isinstance(frames, str):
            path.write_text(frames)
        else:
            write(path, frames)
        return CliRunner().invoke(app, ["check", str(path), *options])

    return run


def test_good_data_pass(check):
    result = check([*lone_atoms(), *water()], "--tolerance", "0.001")
    assert result.exit_code == 0, result.output
    for words in (NOTHING, "REF_energy, REF_forces", "harmonic (springs 1)", "H -13.600 eV", "H O"):
        assert words in result.output
    assert "REFUSED" not in result.output
    assert "note" not in result.output
    assert "reading" in result.stderr


def test_json(check):
    result = check([*lone_atoms(), *water()], "--json", "--tolerance", "0.001")
    record = json.loads(result.stdout)
    assert record["refused"] is False
    assert record["findings"] == []
    assert record["summary"]["usable frames"] == 14
    assert {one["test"]: one["verdict"] for one in record["units"]} == {
        "lengths": "well", "bonds": "well", "work": "well",
    }  # fmt: skip


def changed(frames: list[Labelled], place: int, **changes: object) -> list[Labelled]:
    frames = list(frames)
    structure, labels = frames[place]
    forces = changes.pop("forces", labels.forces)
    energy = changes.pop("energy", labels.energy)
    level = changes.pop("fingerprint", labels.fingerprint)
    frames[place] = Labelled(
        structure.replace(**changes), Labels(energy, forces, fingerprint=level)
    )
    return frames


def in_units(frames: list[Labelled], energy: float, force: float) -> list[Labelled]:
    return [
        Labelled(s, Labels(labels.energy / energy, labels.forces / force, fingerprint=LEVEL))
        for s, labels in frames
    ]


GOOD = water()
CLASH = GOOD[0].structure.positions.copy()
CLASH[2] = CLASH[1] + [0.3, 0, 0]
NAN = np.full((3, 3), np.nan)
SPICE = in_units(GOOD, HARTREE, -HARTREE / BOHR)
REFUSED = {
    "nan force": (changed(GOOD, 3, forces=NAN), "frame 3: 'REF_forces' of atom 0 is not finite"),
    "nan energy": (changed(GOOD, 3, energy=float("nan")), "frame 3: 'REF_energy' is nan"),
    "clash": (changed(GOOD, 2, positions=CLASH), "frame 2: atoms 1 (H) and 2 (H) are 0.30 Å"),
    "parity": (
        changed(GOOD, 2, charge=1),
        "frame 2: spin = 1 cannot be the multiplicity 2S + 1 of 9",
    ),
    "charge": (changed(GOOD, 1, charge=60), "frame 1: a charge of +60 on 3 atoms is absurd"),
    "Hartree/Bohr": (in_units(GOOD, HARTREE, HARTREE / BOHR), "as of Hartree/Bohr"),
    "gradients": (in_units(GOOD, 1, -1), "gradients, not forces"),
    "SPICE unconverted": (SPICE, "gradients, not forces"),
    "Hartree": (in_units(GOOD, HARTREE, 1), "energies in Hartree and forces in eV/Å"),
    "E0s of another level": (
        [*lone_atoms(), *[changed(GOOD, i, energy=-500.0 + i / 10)[i] for i in range(12)]],
        "no binding is",
    ),
    "conflict": ([*GOOD, *changed(GOOD, 4, energy=-2077.0)[4:5]], "the same structure as frame 4"),
    "two levels": (changed(GOOD, 5, fingerprint=None), "labels of several levels of theory"),
    "two lone atoms": (
        [*lone_atoms(), *changed(lone_atoms(), 0, energy=-13.2)[:1], *GOOD],
        "-13.6 and -13.2 eV for H",
    ),
    "empty": ("", "no frame has a sound structure"),
    "truncated": (extxyz_text(*GOOD[0])[:-40], "truncated"),
    "no keys": (extxyz_text(GOOD[0].structure), "neither 'REF_energy' nor 'energy'"),
    "mixed keys": (
        extxyz_text(*GOOD[0]) + extxyz_text(*GOOD[1], keys=BARE),
        "frame 1: its labels are under energy, forces",
    ),
}


@pytest.mark.parametrize(("frames", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(check, frames, words):
    result = check(frames)
    assert result.exit_code == 1, result.output
    assert words in result.output
    assert "data.extxyz: must not be used as they are: " in result.output
    assert any(
        line.startswith("REFUSED") and "data.extxyz" in line for line in result.output.split("\n")
    )


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([*GOOD, GOOD[4]], "data.extxyz, frame 12: the same structure as frame 4"),
        (
            [*GOOD, changed(GOOD, 4, positions=GOOD[4].structure.positions + 1)[4]],
            "frame 12: within 0.005 Å of frame 4",
        ),
        (changed(GOOD, 4, energy=GOOD[4].labels.energy + 9), "energy is +3.0"),
        (changed(GOOD, 4, forces=GOOD[4].labels.forces + 90), "frame 4: its largest force is 1"),
        (GOOD, "there are no lone atoms"),
    ],
    ids=["copy", "shifted copy", "energy outlier", "force outlier", "no E0s"],
)
def test_noted(check, frames, words):
    result = check(frames)
    assert result.exit_code == 0, result.output
    assert words in result.output
    assert NOTHING in result.output


def test_many_findings_are_counted(check):
    frames = GOOD + [changed(GOOD, i, forces=NAN)[i] for i in range(8)]
    result = check(frames)
    assert "and 3 more of labels (--all)" in result.output
    assert check(frames, "--all").output.count("is not finite") == 8


def test_stated_units_make_it_pass_and_convert(check, tmp_path):
    stated = ["--energy-unit", "Hartree", "--force-unit", "-Hartree/Bohr"]
    assert check(SPICE, *stated).exit_code == 0
    out = tmp_path / "converted.extxyz"
    result = CliRunner().invoke(
        app, ["convert", str(tmp_path / "data.extxyz"), "-o", str(out), *stated]
    )
    assert result.exit_code == 0, result.output
    assert "12 frames written" in result.output
    for one, other in zip(GOOD, read_labelled(out), strict=True):
        assert one.structure.key == other.structure.key
        assert other.labels.energy == pytest.approx(one.labels.energy)
        np.testing.assert_allclose(other.labels.forces, one.labels.forces, atol=1e-12)


def test_the_last_line_says_what_to_do(check):
    last = check(SPICE).output.strip().splitlines()[-1]
    assert "state the units (--energy-unit, --force-unit, --length-unit), and convert" in last
    assert "leave them out" in check(changed(GOOD, 1, charge=60)).output.splitlines()[-1]


def test_keys_option(check):
    text = (
        "".join(extxyz_text(*one) for one in GOOD)
        .replace("REF_energy", "E")
        .replace("REF_forces", "F")
    )
    assert check(text).exit_code == 1
    assert check(text, "--keys", "E,F").exit_code == 0
    bare = "".join(extxyz_text(*one, keys=BARE) for one in GOOD)
    assert "energy, forces" in check(bare, "--keys", "bare").output
    assert check(bare, "--keys", "ref").exit_code == 1


def test_e0s_from_a_file(check, tmp_path):
    path = tmp_path / "e0s.json"
    path.write_text(e0s_from_dictionary(E0S).to_json())
    result = check(GOOD, "--e0s", str(path))
    assert result.exit_code == 0
    assert "dictionary: H -13.600 eV" in result.output
    path.write_text(json.dumps(E0S))
    assert "dictionary: H -13.600 eV" in check(GOOD, "--e0s", str(path)).output
    path.write_text(e0s_from_dictionary({"H": -13.6}).to_json())
    assert "there is no E0 of O" in check(GOOD, "--e0s", str(path)).output


def test_reference_engine(check):
    result = check(GOOD, "--reference", "gfn2")
    assert result.exit_code == 0, result.output
    assert "of GFN2-xTB (tblite" in result.output
    wrong = check(in_units(GOOD, HARTREE, HARTREE / BOHR)[:2], "--reference", "gfn2")
    assert wrong.exit_code == 1
    assert "test of forces" in wrong.output


def test_plot(check, tmp_path):
    picture = tmp_path / "a.png"
    assert check([*lone_atoms(), *GOOD], "--plot", str(picture)).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert check("", "--plot", str(picture)).exit_code == 1  # nothing to draw is no crash


@pytest.mark.parametrize(
    "options",
    [
        ["--spin-means", "S"],
        ["--keys", "a"],
        ["--force-unit", "furlong"],
        ["--e0s", "absent.json"],
        ["--reference", "gfn9"],
        ["--plot", "figure.docx"],
    ],
)
def test_wrong_options(check, options):
    from kshot.core.errors import KshotError

    result = check(GOOD, *options)
    assert isinstance(result.exception, KshotError)


def test_truncated_binary_file_is_refused(check, tmp_path):
    check(GOOD, name="a.h5")
    path = tmp_path / "a.h5"
    path.write_bytes(path.read_bytes()[:-200])
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert "a.h5" in result.output
