"""The verbs `template`, `validate`, `adapt`, `eval` and the page, on a start of Morse springs."""

import contextlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import kshot
from kshot.atoms import Labelled, Labels, Structure
from kshot.atoms.files import read_labelled, write
from kshot.cli.main import app
from kshot.core.errors import DataError, OptionError, TaskError, UnitError, UnseenError
from kshot.labelers import labeler
from kshot.pipeline.config import ConfigError, TrainConfig, load_config, parse_config
from kshot.pipeline.preflight import check_labels, check_structures
from kshot.pipeline.template import template
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_file import load, save
from methanol import METHANOL


def run(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def morse() -> Model:
    potential = potentials.get("morse")((1, 6, 8))
    params = potential.init(jax.random.key(0))
    return Model(potential, params, {1: -1.0, 6: -2.0, 8: -3.0}, Seen((1, 6, 8)))


def frames(count: int, seed: int = 0) -> list[Labelled]:
    rng, engine = np.random.default_rng(seed), labeler("analytic")
    made = [
        METHANOL.replace(positions=METHANOL.positions + 0.05 * rng.standard_normal((6, 3)))
        for _ in range(count)
    ]
    return [Labelled(one, engine.label(one)) for one in made]


@pytest.fixture
def start(tmp_path: Path) -> Path:
    path = tmp_path / "morse.kshot"
    save(morse(), path)
    return path


def test_labels_to_a_potential_and_its_errors(start: Path, tmp_path: Path):
    write(tmp_path / "k.extxyz", frames(8))
    write(tmp_path / "test.extxyz", frames(10, seed=1))
    out, page = tmp_path / "methanol.kshot", tmp_path / "page.html"
    told = json.loads(
        run("adapt", start, tmp_path / "k.extxyz", "-o", out, "--report", page, "--json")
    )
    assert told["labels"] == 8
    assert told["labels_paid"] == 0
    tried = [one["method"] for one in told["candidates"]]
    assert tried == ["shift", "head", "relative", "fisher"]
    errors = json.loads(run("eval", out, tmp_path / "test.extxyz", "--json"))
    allowed = ("--allow", "levels")
    before = json.loads(run("eval", start, tmp_path / "test.extxyz", "--json", *allowed))
    assert errors["force_rmse_eV_per_A"] < 0.8 * before["force_rmse_eV_per_A"]
    assert errors["energy_rmse_eV"] < 0.2 * before["energy_rmse_eV"]
    assert "methanol" not in page.read_text()
    assert "k: 8 labels" in page.read_text()
    # the adapted file is a delta on its start, and knows the new level of theory.
    level = labeler("analytic").fingerprint
    load(out).refuse(METHANOL, level)
    assert len(list(read_labelled(out.with_suffix(".labels.extxyz")))) == 8


def test_a_structure_and_a_budget(start: Path, tmp_path: Path):
    write(tmp_path / "methanol.extxyz", [METHANOL])
    words = ("adapt", start, tmp_path / "methanol.extxyz", "-o", tmp_path / "out.kshot")
    options = ("--budget", "6", "--engine", "analytic", "--workers", "1", "--json")
    first = json.loads(run(*words, *options))
    assert (first["labels"], first["labels_paid"]) == (6, 6)
    second = json.loads(run(*words, *options, "--force"))
    assert second["chosen"] == first["chosen"]


def test_a_budget_too_small_to_fine_tune_on_is_refused_before_it_is_paid(start, tmp_path):
    write(tmp_path / "methanol.extxyz", [METHANOL])
    words = ("adapt", start, tmp_path / "methanol.extxyz", "-o", tmp_path / "out.kshot")
    with pytest.raises(TaskError, match="5 labels or more for "):
        run(*words, "--budget", "4", "--engine", "analytic", "--thorough")
    assert {one.name for one in tmp_path.iterdir()} == {"morse.kshot", "methanol.extxyz"}


def test_too_little_memory_is_told_before_a_label_is_paid(start, tmp_path):
    write(tmp_path / "methanol.extxyz", [METHANOL])
    words = ("adapt", start, tmp_path / "methanol.extxyz", "-o", tmp_path / "out.kshot")
    with pytest.raises(OptionError, match="memory for the derivatives of one frame"):
        run(*words, "--budget", "6", "--engine", "analytic", "--memory", "1e-9")
    assert {one.name for one in tmp_path.iterdir()} == {"morse.kshot", "methanol.extxyz"}


def test_python_entry(start: Path):
    found = kshot.adapt(start, frames(6))
    energy = found.model.predict([METHANOL])[0].energy
    assert np.isfinite(energy)
    atoms_energy = found.calculator()
    assert atoms_energy is not None


@pytest.mark.parametrize(
    ("factor", "says"), [(-1.0, "gradients"), (0.0194469, "Hartree/Bohr"), (23.0605, "kcal/mol")]
)
def test_wrong_units_and_signs_are_refused(factor: float, says: str):
    start = morse()
    some = [frame.structure for frame in frames(6)]
    said = start.predict(some)
    wrong = [
        Labelled(one, Labels(labels.energy, labels.forces * factor))
        for one, labels in zip(some, said, strict=True)
    ]
    with pytest.raises(UnitError, match=says):
        check_labels(start, wrong)


def test_bad_labels_are_refused_before_anything_is_spent():
    start, good = morse(), frames(4)
    with pytest.raises(TaskError, match="2 labels or more"):
        check_labels(start, good[:1])
    bad = Labelled(good[0].structure, Labels(good[0].labels.energy + 1.0, good[0].labels.forces))
    with pytest.raises(DataError, match="two energies"):
        check_labels(start, [*good, bad])
    lost = Labelled(good[1].structure, Labels(np.nan, good[1].labels.forces))
    with pytest.raises(DataError, match="frame 1"):
        check_labels(start, [good[0], lost])
    [repeated, rough] = check_labels(start, [*good, good[0], frames(5)[4]])
    assert repeated == "1 frames repeat another: they add nothing"
    assert "and so are energies" in rough
    with pytest.raises(UnseenError, match="H, C, O; got N"):
        check_structures(start, [Structure(np.array([7]), np.zeros((1, 3)), multiplicity=4)], ())
    with pytest.raises(OptionError, match=r"levels, units; got levles"):
        check_structures(start, [METHANOL], ("levles",))


def test_the_template_is_a_valid_configuration(tmp_path: Path):
    path = tmp_path / "train.yaml"
    path.write_text(run("template", "train"))
    assert load_config(path) == TrainConfig()
    assert template().count("#") > 20
    said = run("validate", path, "--set", "families.strata=[side-chain]")
    assert "17 families" in said


def test_all_mistakes_are_told_at_once():
    tree = {"familys": {}, "joint": {"step": 5, "rate": -1}, "data": {"draws": [{"smapler": "x"}]}}
    with pytest.raises(ConfigError) as told:
        parse_config(tree)
    said = str(told.value)
    for part in ("'families'", "'steps'", "joint.rate", "'sampler'"):
        assert part in said


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5), max_size=3))
def test_any_mapping_is_taken_or_refused(tree: dict):
    with contextlib.suppress(ConfigError):
        assert isinstance(parse_config(tree), TrainConfig)
