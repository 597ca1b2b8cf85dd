"""Coverage, `kshot families list | show | coverage | sample`, and what it draws."""

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from kshot.atoms import Fingerprint, Labelled, Labels, Structure
from kshot.atoms.files import read_labelled
from kshot.cli.families import app
from kshot.core.errors import InputError, UnknownNameError
from kshot.families import Family, Member, coverage, find_family, load_catalogue
from kshot.families.catalogue.draw import draw
from kshot.families.coverage import HEADINGS, cells_of, coverage_table


def molecule(numbers, positions, **more):
    return Structure(np.array(numbers), np.array(positions, float), **more)


WATER = molecule([8, 1, 1], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], family="water")
HYDROXIDE = molecule([8, 1], [[0, 0, 0], [0.96, 0, 0]], charge=-1, family="water")
ZINC = molecule([30], [[0, 0, 0]], charge=2, family="zinc")
SELECTION = (
    Family("water", "solvent", (Member("neutral", WATER), Member("anion", HYDROXIDE))),
    Family("zinc", "metal-site", (Member("ion", ZINC, status={"gfn2": "not converged: x"}),)),
)


def labelled(structure, energy, member=""):
    fingerprint = Fingerprint("none", "1", "none")
    labels = Labels(energy, np.zeros((len(structure), 3)), fingerprint=fingerprint)
    return Labelled(structure.replace(info={"member": member} if member else {}), labels)


def families(*words):
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_coverage_counts_families_members_elements_and_charges():
    found = coverage(SELECTION)
    assert [(row.stratum, row.families, row.members) for row in found.rows] == [
        ("solvent", 1, 2),
        ("metal-site", 1, 1),
    ]
    assert (found.whole.families, found.whole.members, found.whole.marked) == (2, 3, 1)
    assert found.by_element == {"H": 2, "O": 2, "Zn": 1}
    assert found.by_charge == {-1: 1, 0: 1, 2: 1}
    assert found.whole.elements == ("H", "O", "Zn")
    assert found.whole.atoms == (1, 2, 3)
    assert found.whole.spread is None
    assert coverage(SELECTION, engine="pyscf").whole.marked == 0


def test_energy_spread_is_within_a_scaffold_not_between():
    frames = [labelled(WATER, e) for e in (-100.0, -100.2)]
    frames += [labelled(HYDROXIDE, e) for e in (-50.0, -50.4)]
    found = coverage(SELECTION, frames)
    assert found.whole.frames == 4
    assert found.whole.spread == pytest.approx((0.2 + 0.4) / 2 / np.sqrt(2))
    assert found.whole.widest == pytest.approx(0.4 / np.sqrt(2))
    assert found.rows[1].spread is None


def test_isomers_of_one_family_are_kept_apart_by_their_names():
    both = (Family("water", "s", (Member("a", WATER), Member("b", WATER))),)
    frames = [
        labelled(WATER, e, name) for name, e in [("a", 0.0), ("a", 0.2), ("b", 9.0), ("b", 9.2)]
    ]
    found = coverage(both, frames)
    assert found.whole.frames == 4
    assert found.whole.widest == pytest.approx(0.2 / np.sqrt(2))


def test_coverage_of_nothing_is_empty():
    found = coverage(())
    assert (found.rows, found.whole.families, found.whole.atoms) == ((), 0, (0, 0, 0))


def test_table_has_a_row_per_stratum_and_the_whole():
    cells = cells_of(coverage(SELECTION))
    assert [row[0] for row in cells] == ["solvent", "metal-site", "all"]
    assert all(len(row) == len(HEADINGS) for row in cells)
    assert coverage_table(coverage(SELECTION)).row_count == 2


def test_list_shows_what_fulfils_the_conditions():
    text = families("list", "--stratum", "metal-site", "--element", "Mg").output
    assert "mg-water6" in text
    assert "zn-cys4" not in text
    assert "magnesium-porphine" in text


def test_list_as_json_is_the_catalogue():
    records = json.loads(families("list", "--json", "--stratum", "dipeptide").stdout)
    assert len(records) == 20
    asp = next(record for record in records if record["name"] == "dipeptide-asp")
    anion = next(member for member in asp["members"] if member["name"] == "anion")
    assert (anion["charge"], anion["multiplicity"], anion["formula"]) == (-1, 1, "C7H11N2O4")
    assert set(anion["status"]) == {"gfn2"}


def test_show_tells_charge_status_and_note_and_writes_geometries(tmp_path):
    path = tmp_path / "x.xyz"
    text = families("show", "fe2s2-cys4", "--xyz", str(path)).output
    assert "charge -2, multiplicity 11" in text
    assert "antiferromagnetic" in text
    assert "gfn2:" in text
    heads = [line for line in path.read_text().splitlines() if "total_spin=11" in line]
    assert len(heads) == 1


def test_show_suggests_a_close_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'dipeptide-asp'"):
        families("show", "dipeptide-asq")


def test_coverage_verb_counts_labels(tmp_path):
    text = families("coverage", "--stratum", "solvent").output
    assert "members by element: H" in text


def test_sample_needs_a_choice():
    with pytest.raises(InputError, match="neither"):
        families("sample")
    with pytest.raises(InputError, match="both"):
        families("sample", "urea", "--all")


def test_sample_labels_each_member_and_goes_on_where_it_ended(tmp_path):
    out, ledger = tmp_path / "out.extxyz", tmp_path / "labels.db"
    words = ("sample", "urea", "water", "-n", "3", "--ledger", str(ledger), "-o", str(out))
    text = families(*words).stdout
    assert "9 of 9 configurations labelled" in text
    assert "no failures" in text
    frames = list(read_labelled(out))
    assert {(f.structure.family, f.structure.info["member"]) for f in frames} == {
        ("urea", "neutral"), ("water", "monomer"), ("water", "dimer"),
    }  # fmt: skip
    assert len({f.structure.key for f in frames}) == 9
    before = out.read_bytes()
    families(*words, "--force")
    assert out.read_bytes() == before


def test_failed_labels_are_written_down_not_hidden(tmp_path, monkeypatch):
    import kshot.labelers
    from kshot.atoms import Failure
    from kshot.labelers.gfn import gfn2

    class Sometimes(type(gfn2())):
        def label(self, structure):
            if structure.family == "water":
                return Failure("not converged", "asked to fail")
            return super().label(structure)

    def named(name):
        return Sometimes(
            "GFN2-xTB", accuracy=1.0, temperature=300.0, max_iterations=250, solvent=""
        )

    monkeypatch.setattr(kshot.labelers, "labeler", named)
    out, ledger = tmp_path / "out.extxyz", tmp_path / "labels.db"
    words = ("sample", "urea", "water", "-n", "2", "--ledger", str(ledger), "-o", str(out))
    text = families(*words).stdout
    assert "2 of 6 configurations labelled" in text
    assert "water/monomer: 2 × not converged (label)" in text
    failures = json.loads((tmp_path / "out.extxyz.failures.json").read_text())
    assert {(f["family"], f["stage"], f["frame"]) for f in failures} == {
        ("water", "label", 0), ("water", "label", 1),
    }  # fmt: skip
    assert {f.structure.family for f in read_labelled(out)} == {"urea"}


def test_draw_is_seeded_and_kept(tmp_path):
    family = find_family("side-chain-cys", load_catalogue())
    member = family.members[0]
    first, again, other = (draw(family, member, 4, seed=seed) for seed in (1, 1, 2))
    assert [f.key for f in first] == [f.key for f in again]
    assert not {f.key for f in first} & {f.key for f in other}
    kept = draw(family, member, 4, seed=1, folder=tmp_path)
    read = draw(family, member, 4, seed=1, folder=tmp_path)
    assert [f.key for f in read] == [f.key for f in kept] == [f.key for f in first]
    assert read[0].info["trajectory"] == first[0].info["trajectory"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "sampler"), [("urea", "langevin"), ("mg-water6", "rattle"), ("dioxygen", "rattle")]
)
def test_auto_takes_dynamics_where_there_is_a_force_field(name, sampler):
    family = find_family(name, load_catalogue())
    frames = draw(family, family.members[0], 3)
    assert {frame.info["sampler"] for frame in frames} == {sampler}
    assert {frame.multiplicity for frame in frames} == {family.members[0].structure.multiplicity}


def test_unknown_sampler_is_refused():
    family = SELECTION[0]
    with pytest.raises(UnknownNameError, match="no sampler is called 'langvin'"):
        draw(family, family.members[0], 3, sampler="langvin")


def test_command_line_imports_nothing_heavy():
    assert "kshot.cli.families" in sys.modules
    import subprocess

    code = "import sys, kshot.cli; print({'numpy', 'rdkit', 'jax'} & set(sys.modules) or 'light')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"
