"""Extended XYZ: whatever goes out comes back; ASE reads it; bad files are told with their frame."""

import io
import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kshot.atoms import Fingerprint, Labelled, Labels, Structure
from kshot.atoms.extxyz_write import extxyz_text, write_extxyz
from kshot.atoms.files import read_labelled, read_structures, scan, write
from kshot.atoms.reading import BARE, REF, Keys, Reading
from kshot.core.errors import DataError, OptionError

WATER = Structure(
    np.array([8, 1, 1]), np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])
)
GFN2 = Fingerprint("tblite", "0.8.0", "GFN2-xTB", settings={"accuracy": 1.0, "etemp": 300})
LABELS = Labels(-138.0, np.arange(9.0).reshape(3, 3) / 7, fingerprint=GFN2)

TEXT = st.text(max_size=12)
VALUES = st.one_of(
    TEXT,
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False),
    st.booleans(),
    st.sampled_from(
        ["T", "1", "1.0", "1e5", "nan", "", " a", '"', "\\", "a=b", "1 2 3", "'x'", "[1]"]
    ),
)
KEYS = st.one_of(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), TEXT, st.sampled_from(list(REF))
)
FLOATS = st.floats(-1e3, 1e3)


@st.composite
def labelled(draw: st.DrawFn) -> Labelled:
    """Any structure of atoms on a lattice wide enough for all of them, with any labels."""
    n = draw(st.integers(1, 6))
    numbers = np.array(draw(st.lists(st.integers(1, 118), min_size=n, max_size=n)))
    places = np.array(draw(st.permutations(range(8)))[:n])
    sites = np.stack([places % 2, places // 2 % 2, places // 4], 1) * 7.0
    noise = np.array(draw(st.lists(st.tuples(*[st.floats(-1, 1)] * 3), min_size=n, max_size=n)))
    charge = draw(st.integers(-2, 0))
    multiplicity = 1 + (int(numbers.sum()) - charge) % 2
    masses = draw(st.one_of(st.none(), st.just(np.linspace(0.9, 1.1, n))))
    from kshot.atoms.elements import elements

    periodic = draw(st.booleans())
    structure = Structure(
        numbers,
        sites + noise,
        charge,
        multiplicity,
        None if masses is None else masses * elements().masses[numbers],
        np.eye(3) * 14 + draw(st.floats(0, 0.1)) if periodic else None,
        np.full(3, periodic),
        draw(
            st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), max_size=8).filter(
                str.isprintable
            )
        ),
        draw(st.dictionaries(KEYS, VALUES, max_size=4)),
    )
    forces = np.array(draw(st.lists(st.tuples(*[FLOATS] * 3), min_size=n, max_size=n)))
    stress = draw(st.one_of(st.none(), st.just(np.arange(9.0).reshape(3, 3) / 3)))
    fingerprint = draw(st.sampled_from([None, GFN2]))
    return Labelled(structure, Labels(draw(FLOATS), forces, stress, fingerprint))


def assert_same(a: Labelled, b: Labelled) -> None:
    assert a.structure.key == b.structure.key
    for name in ("numbers", "positions", "pbc", "masses", "cell"):
        np.testing.assert_array_equal(getattr(a.structure, name), getattr(b.structure, name), name)
    for name in ("charge", "multiplicity", "family"):
        assert getattr(a.structure, name) == getattr(b.structure, name)
    assert dict(a.structure.info) == dict(b.structure.info)
    assert {k: type(v) for k, v in a.structure.info.items()} == {
        k: type(v) for k, v in b.structure.info.items()
    }
    assert a.labels.energy == b.labels.energy
    assert a.labels.fingerprint == b.labels.fingerprint
    np.testing.assert_array_equal(a.labels.forces, b.labels.forces)
    assert (a.labels.stress is None) == (b.labels.stress is None)
    if a.labels.stress is not None:
        np.testing.assert_array_equal(a.labels.stress, b.labels.stress)


@given(st.lists(labelled(), max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_round_trip_is_exact(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("x") / "a.extxyz"
    assert write_extxyz(path, frames) == len(frames)
    back = list(read_labelled(path))
    assert len(back) == len(frames)
    for one, other in zip(frames, back, strict=True):
        assert_same(one, other)


@given(st.binary(max_size=200))
@settings(max_examples=80, deadline=None)
def test_noise_is_a_problem_or_a_data_error(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("x") / "a.xyz"
    path.write_bytes(noise)
    try:
        noise.decode()
    except UnicodeDecodeError:
        with pytest.raises(DataError, match=r"a\.xyz"):
            list(scan(path))
    else:
        assert all(frame.problems or frame.structure is not None for frame in scan(path))


@given(st.integers(0, 10**6), st.text("0123456789.eE+-T \"'=\n:xHOR\\{}[]", max_size=3))
@settings(max_examples=120, deadline=None)
def test_a_damaged_frame_never_raises_anything_else(tmp_path_factory, place, damage):
    text = extxyz_text(WATER.replace(family="water"), LABELS) * 2
    place %= len(text)
    path = tmp_path_factory.mktemp("x") / "a.xyz"
    path.write_text(text[:place] + damage + text[place + 1 :])
    for frame in scan(path):
        assert frame.where.startswith(str(path))


@pytest.mark.parametrize("kept", range(1, 7))
def test_truncated_anywhere_is_told(tmp_path, kept):
    text = extxyz_text(WATER, LABELS)
    lines = text.splitlines(keepends=True)
    path = tmp_path / "cut.xyz"
    cut = "".join(lines[:kept]) if kept < 5 else "".join(lines)[: -len(lines[-1]) // 2 - kept]
    path.write_text(text + cut)
    with pytest.raises(DataError, match=r"cut.xyz, frame 1: .*truncated"):
        list(read_labelled(path))


def test_read_by_ase(tmp_path):
    info = {"seed": 3, "temperature": 300.5, "config_type": "md", "note": 'a "b" c'}
    structure = WATER.replace(
        cell=np.diag([8.0, 9, 10]), pbc=np.ones(3, bool), info=info, family="water"
    )
    write(tmp_path / "a.extxyz", [Labelled(structure, LABELS)])
    atoms = ase.io.read(tmp_path / "a.extxyz")
    np.testing.assert_array_equal(atoms.positions, structure.positions)
    np.testing.assert_array_equal(atoms.arrays["REF_forces"], LABELS.forces)
    assert atoms.info["REF_energy"] == LABELS.energy
    assert {key: atoms.info[key] for key in info} == info
    assert atoms.info["family"] == "water"
    assert (atoms.info["total_charge"], atoms.info["total_spin"]) == (0, 1)
    assert json.loads(atoms.info["fingerprint"])["method"] == "GFN2-xTB"
    np.testing.assert_array_equal(atoms.cell[:], structure.cell)


def ase_water(**info: object) -> Atoms:
    atoms = Atoms(WATER.numbers, WATER.positions)
    atoms.info.update(info)
    return atoms


def with_results(atoms: Atoms) -> Atoms:
    stress = {"stress": np.arange(6) / 10} if atoms.pbc.any() else {}
    atoms.calc = SinglePointCalculator(atoms, energy=-138.0, forces=LABELS.forces, **stress)
    return atoms


def saved(tmp_path, *frames: Atoms):
    path = tmp_path / "ase.xyz"
    ase.io.write(path, list(frames), format="extxyz")
    return path


def test_what_ase_writes_of_a_calculator(tmp_path):
    box = ase_water()
    box.set_cell([8, 9, 10])
    box.pbc = True
    frames = list(scan(saved(tmp_path, with_results(ase_water()), with_results(box))))
    assert [frame.keys for frame in frames] == [BARE, BARE]
    one, two = (frame.require_labelled() for frame in frames)
    assert one.labels.energy == -138.0
    np.testing.assert_allclose(one.labels.forces, LABELS.forces, atol=1e-8)
    np.testing.assert_allclose(two.labels.stress, np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]]) / 10)
    np.testing.assert_array_equal(two.structure.cell, np.diag([8, 9, 10]))


def test_reference_keys_written_by_ase(tmp_path):
    atoms = ase_water(REF_energy=-1.5, charge=-1, spin=2, masses_note="x")
    atoms.arrays["REF_forces"] = np.ones((3, 3))
    atoms.set_masses([15.999, 2.014, 2.014])
    atoms.arrays["masses"] = atoms.get_masses()
    (frame,) = scan(saved(tmp_path, atoms))
    assert frame.keys == REF
    structure, labels = frame.require_labelled()
    assert (structure.charge, structure.multiplicity, labels.energy) == (-1, 2, -1.5)
    np.testing.assert_allclose(structure.masses, [15.999, 2.014, 2.014])
    assert dict(structure.info) == {"masses_note": "x"}


def both(**info: object) -> Atoms:
    atoms = with_results(ase_water(REF_energy=-1.5, **info))
    atoms.arrays["REF_forces"] = np.ones((3, 3))
    return atoms


def test_both_kinds_are_refused_unless_stated(tmp_path):
    path = saved(tmp_path, both())
    with pytest.raises(DataError, match=r"ase.xyz, frame 0: both kinds .*state keys="):
        list(read_labelled(path))
    assert next(read_structures(path)).key == WATER.key
    for keys, energy in ((REF, -1.5), (BARE, -138.0), (Keys("energy", "REF_forces"), -138.0)):
        (found,) = read_labelled(path, Reading(keys=keys))
        assert found.labels.energy == energy


HEAD = "Properties=species:S:1:pos:R:3"
ROWS = ["O 0 0 0.12", "H 0 0.76 -0.47", "H 0 -0.76 -0.47"]
FORCES = [" 0 0 1", " 0 0 2", " 0 0 3"]


def water(comment: str, rows: list[str] | None = None, count: str = "3") -> str:
    return "\n".join([count, comment, *(rows or ROWS), ""])


def rows(tail: list[str]) -> list[str]:
    return [row + more for row, more in zip(ROWS, tail, strict=True)]


GOOD = f"{HEAD}:forces:R:3 energy=-1"
BAD = {
    "no labels": (water(HEAD), "no labels: neither 'REF_energy' nor 'energy'"),
    "no forces": (water(f"{HEAD} REF_energy=-1"), "no forces under the key 'REF_forces'"),
    "no energy": (water(f"{HEAD}:forces:R:3", rows(FORCES)), "no energy under the key 'energy'"),
    "energy nan": (water(f"{HEAD}:forces:R:3 energy=nan", rows(FORCES)), "'energy' is nan"),
    "energy text": (water(f"{HEAD}:forces:R:3 energy=low", rows(FORCES)), "'low', not a number"),
    "force nan": (water(GOOD, rows([" 0 0 1", " 0 nan 2", " 0 0 3"])), "of atom 1 is not finite"),
    "forces of one column": (
        water(f"{HEAD}:forces:R:1 energy=-1", rows([" 1", " 1", " 1"])),
        r"shape \(3, 1\) for 3 atoms",
    ),
    "forces text": (water(GOOD, rows([" 0 0 1", " 0 x 2", " 0 0 3"])), "'forces' is not all num"),
    "row short": (water(GOOD, rows([" 0 0 1", " 0 0", " 0 0 3"])), "atom 1 has 6 columns .* 7"),
    "row long": (water(GOOD, rows([" 0 0 1", " 0 0 1 1", " 0 0 3"])), "atom 1 has 8 columns"),
    "unknown element": (water(HEAD, ["Xx 0 0 0", *ROWS[1:]]), "no element is called 'Xx'"),
    "position nan": (water(HEAD, ["O nan 0 0", *ROWS[1:]]), "position of atom 0 is not finite"),
    "duplicate": (water(HEAD, [ROWS[0], ROWS[1], ROWS[1]]), "are at the same place"),
    "close": (water(HEAD, [ROWS[0], ROWS[1], "H 0 0.46 -0.47"]), "0.30 Å apart"),
    "no species": (water("Properties=pos:R:3"), "no species or no positions"),
    "odd properties": (water("Properties=species:S:pos:R:3"), "not name:type:columns"),
    "open quote": (water(f'{HEAD} name="a'), "cannot be read"),
    "charge text": (water(f"{HEAD} charge=one"), "charge = 'one' is not a whole number"),
    "charge 0.5": (water(f"{HEAD} charge=0.5"), "not a whole number"),
    "charge inf": (water(f"{HEAD} charge=inf"), "not a whole number"),
    "two charges": (water(f"{HEAD} charge=0 total_charge=1"), "charge = 0 and total_charge = 1 d"),
    "two spins": (water(f"{HEAD} spin=1 total_spin=3"), "differ"),
    "odd electrons": (water(f"{HEAD} charge=1"), "9 electrons are an odd number and no spin"),
    "unpaired": (
        water(f"{HEAD} charge=1 spin=1"),
        "9 electrons, but can be .*spin_means='unpaired'",
    ),
    "unpaired 0": (water(f"{HEAD} spin=0"), "spin_means='unpaired'"),
    "neither": (water(f"{HEAD} spin=-3"), "below 1"),
    "charge +60": (water(f"{HEAD} charge=60"), "absurd"),
    "lattice": (water(f'{HEAD} Lattice="1 2 3"'), "Lattice has 3 numbers instead of 9"),
    "lattice of six": (
        water(f'{HEAD} Lattice="1 2 3 0 0 0"'),
        "Lattice has 6 numbers instead of 9",
    ),
    "stress": (
        water(f'{GOOD} stress="1 2 3"', rows(FORCES)),
        "'stress' has 3 numbers instead of 9",
    ),
    "pbc": (water(f'{HEAD} pbc="T T"'), "not three of T and F"),
    "no cell": (water(f'{HEAD} pbc="T T T"'), "has no cell"),
    "fingerprint": (
        water(f"{GOOD} fingerprint=gfn2", rows(FORCES)),
        "fingerprint is none of kshot's",
    ),
    "no atoms": ("0\n\n", "no atoms"),
    "not a count": (water(HEAD, count="three"), "'three'"),
    "count too large": (water(HEAD, count="4"), "truncated: 3 of 4 atoms"),
    "count too small": (
        water(f"{GOOD} charge=1", rows(FORCES), count="2"),
        "number of atoms should stand where 'H 0 -0.76",
    ),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_bad_input_names_file_frame_and_remedy(tmp_path, text, words):
    path = tmp_path / "bad.xyz"
    path.write_text(water(GOOD, rows(FORCES)) + text)
    with pytest.raises(DataError, match=words) as caught:
        list(read_labelled(path))
    assert "bad.xyz, frame " in str(caught.value)


def test_reading_goes_on_after_a_broken_frame(tmp_path):
    path = tmp_path / "a.xyz"
    bad = BAD["row short"][0]
    path.write_text(water(GOOD, rows(FORCES)) + bad + water(GOOD, rows(FORCES)))
    assert [bool(frame.problems) for frame in scan(path)] == [False, True, False]


def test_keys_may_not_change_within_a_file(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(water(GOOD, rows(FORCES)) + extxyz_text(WATER, LABELS))
    with pytest.raises(DataError, match=r"frame 1: .*REF_energy, REF_forces, those of earlier"):
        list(read_labelled(path))


def test_spin_as_stated(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(water(f"{HEAD} charge=1 spin=1"))
    (radical,) = read_structures(path, Reading(spin_means="unpaired"))
    assert (radical.charge, radical.multiplicity) == (1, 2)
    (frame,) = scan(path, Reading(spin_means="multiplicity"))
    assert "odd number of electrons" in frame.problems[0]


def test_isolated_atoms_need_neither_spin_nor_forces(tmp_path):
    path = tmp_path / "atoms.xyz"
    text = "1\nREF_energy=-13.6 config_type=IsolatedAtom\nH 0 0 0\n"
    path.write_text(text + text.replace("H", "O").replace("-13.6", "-2040"))
    hydrogen, oxygen = read_labelled(path)
    assert (hydrogen.structure.multiplicity, oxygen.structure.multiplicity) == (2, 3)
    assert hydrogen.structure.info == {"config_type": "IsolatedAtom"}
    assert not oxygen.labels.forces.any()


def test_units_are_converted_on_reading(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(water(GOOD, rows(FORCES)).replace("0.12", "0.2"))
    (found,) = read_labelled(path, Reading(energy_unit="Hartree", force_unit="-Hartree/Bohr"))
    assert found.labels.energy == pytest.approx(-27.211386245988)
    np.testing.assert_allclose(found.labels.forces[:, 2], -51.422067476 * np.array([1, 2, 3]))
    (found,) = read_labelled(path, Reading(force_unit="kcal/mol/Å", length_unit="nm"))
    np.testing.assert_allclose(found.labels.forces[2, 2], 3 * 0.0433641042)
    assert found.structure.positions[0, 2] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "stated", [{"energy_unit": "calories"}, {"force_unit": "eV"}, {"length_unit": "mile"}]
)
def test_unknown_units_are_refused(tmp_path, stated):
    path = tmp_path / "a.xyz"
    path.write_text(water(GOOD, rows(FORCES)))
    with pytest.raises(OptionError, match="Known"):
        list(read_labelled(path, Reading(**stated)))


def test_formats_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="which is none"):
        scan(tmp_path / "absent.xyz")
    (tmp_path / "a.mol2").write_text("")
    with pytest.raises(DataError, match=r"one of .xyz, .extxyz, .db"):
        scan(tmp_path / "a.mol2")
    with pytest.raises(DataError, match=r"a.mol2"):
        write(tmp_path / "a.mol2", [])


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def frames():
        yield WATER
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_extxyz(tmp_path / "a.xyz", frames())
    assert list(tmp_path.iterdir()) == []


def test_plain_xyz_has_structures_only(tmp_path):
    path = tmp_path / "a.xyz"
    buffer = io.StringIO()
    ase.io.write(buffer, Atoms(WATER.numbers, WATER.positions), format="xyz")
    path.write_text(buffer.getvalue())
    (found,) = read_structures(path)
    assert found.key == WATER.key
