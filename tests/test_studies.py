"""Studies of error against K, and cross-validation over families, on Morse springs."""

import json
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from typer.testing import CliRunner

from kshot import meta
from kshot.atoms import Labelled
from kshot.atoms.files import write
from kshot.cli.main import app
from kshot.core.errors import KshotError, OptionError, UnknownNameError
from kshot.fewshot.adapters.inner import inner_of
from kshot.labelers import labeler
from kshot.pipeline.config import ConfigError, StudyConfig, TrainConfig, load_config
from kshot.pipeline.crossval import folds
from kshot.pipeline.study import load_study
from kshot.pipeline.train import clock
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_file import load, save
from methanol import METHANOL


def trajectory(name: str, count: int, seed: int) -> list[Labelled]:
    rng, engine = np.random.default_rng(seed), labeler("analytic")
    frames = [
        METHANOL.replace(
            positions=METHANOL.positions + 0.05 * rng.standard_normal((6, 3)),
            info={"trajectory": name},
        )
        for _ in range(count)
    ]
    return [Labelled(one, engine.label(one)) for one in frames]


def call(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, KshotError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def study(tmp_path: Path) -> Path:
    potential = potentials.get("morse")((1, 6, 8))
    params = potential.init(jax.random.key(0))
    start = Model(potential, params, {1: -1.0, 6: -2.0, 8: -3.0}, Seen((1, 6, 8)))
    save(start, tmp_path / "start.kshot")
    write(tmp_path / "methanol.extxyz", [*trajectory("a", 21, 0), *trajectory("b", 8, 1)])
    config = tmp_path / "study.yaml"
    config.write_text(
        f"start: {tmp_path}/start.kshot\n"
        f"frames: {{methanol: {tmp_path}/methanol.extxyz}}\n"
        f"shots: [3, 10]\ndraws: 2\ntest: 6\nbeside: [analytic]\nfolder: {tmp_path}/study\n"
    )
    return config


def test_a_study_is_a_table_and_its_numbers_are_kept(study: Path, tmp_path: Path):
    rows = json.loads(call("eval", study, "--json"))
    assert {(row["k"], row["draw"]) for row in rows} == {(3, 0), (3, 1), (10, 0), (10, 1)}
    plain = {"shift", "head", "relative", "fisher"}
    methods = {"kshot", *plain, "analytic + shift"}
    assert {row["method"] for row in rows} == methods
    errors = {
        method: np.mean(
            [row["forces"] for row in rows if (row["method"], row["k"]) == (method, 10)]
        )
        for method in methods
    }
    assert errors["analytic + shift"] < 1e-6 < errors["kshot"] < errors["shift"]
    page = (tmp_path / "study" / "results.md").read_text()
    assert "| zero-shot + shift (plain baseline) | 1 |" in page
    assert "no two draws share a label" in page
    assert f"{1e3 * errors['kshot']:.1f} [" in page
    assert (tmp_path / "study" / "results.png").stat().st_size > 1000
    card = call("models", "card", tmp_path / "start.kshot", "--study", tmp_path / "study")
    assert "- elements H C O; charges +0; multiplicities 1" in card
    assert f"{1e3 * errors['kshot']:.1f} [" in card
    assert "The hardest of them: methanol" in card
    kept = tmp_path / "study" / "results" / "closed-methanol.json"
    before = kept.stat().st_mtime_ns
    assert json.loads(call("eval", study, "--json")) == rows
    assert kept.stat().st_mtime_ns == before


def test_a_card_without_a_study_says_so():
    card = call("models", "card", "bio-small")
    assert "- 11 held out from everything: side-chain-his" in card
    assert card.endswith("No study of this start is known.\n\n")


def test_a_study_names_what_it_is_about(study: Path):
    with pytest.raises(ConfigError, match="either training or frames"):
        load_study(StudyConfig())
    with pytest.raises(ConfigError, match="did you mean 'draws'"):
        load_config(study, ("draw=1",), StudyConfig)
    with pytest.raises(KshotError, match="labelled frames to judge on"):
        call("eval", "bio-small")


def test_folds_are_families_or_strata():
    config = TrainConfig.model_validate({"families": {"strata": ["nucleobase", "sugar"]}})
    families, strata = folds(config, "family"), folds(config, "stratum")
    assert sorted(strata) == ["nucleobase", "sugar"]
    assert sorted(name for names in strata.values() for name in names) == sorted(families)
    assert folds(config, "family", ["uracil"]) == {"uracil": ["uracil"]}
    with pytest.raises(UnknownNameError, match="no family in training"):
        folds(config, "family", ["urasil"])
    with pytest.raises(OptionError, match="family or stratum"):
        folds(config, "kind")


def test_training_ends_when_its_time_is_over():
    said: list[str] = []
    state = meta.joint(lambda p, d: p, outer=optax.sgd(0.1)).init(jax.numpy.zeros(()))
    report = meta.Report(10, 20, {"loss": 1.0}, state)
    assert not clock(60.0, said.append)(report)
    assert said == []
    assert clock(0.0, said.append)(report)
    assert "the time is over" in said[0]


@pytest.fixture
def training(tmp_path: Path) -> Path:
    config = tmp_path / "train.yaml"
    config.write_text(
        "families: {strata: [side-chain], most_atoms: 9, elements: [H, C, O]}\n"
        f"data: {{folder: {tmp_path}/data, engine: analytic, workers: 1, draws: "
        "[{sampler: rattle, temperature: 300, n: 12}]}\n"
        "model: {architecture: morse}\njoint: {steps: 20, batch: 4}\nanchors: 3\n"
    )
    return config


def test_a_start_is_meta_trained_by_an_algorithm(training: Path, tmp_path: Path):
    out = tmp_path / "start.kshot"
    meta_options = ("algorithm=reptile", "steps=6", "shots=4", "query=4", "inner_steps=2")
    changes = [word for one in meta_options for word in ("--set", f"meta.{one}")]
    said = call("train", training, "-o", out, *changes)
    assert "reptile, step 6: training families: " in said
    record = json.loads(call("models", "show", out, "--json"))["record"]
    assert record["config"]["meta"]["algorithm"] == "reptile"
    inner = inner_of(load(out))
    assert inner is not None
    assert (inner.name, inner.options.steps) == ("reptile", 2)
    with pytest.raises(ConfigError, match=r"meta\.algorithm"):
        call("train", training, "-o", out, "--set", "meta.algorithm=reptil")


def test_a_family_that_is_left_out_is_adapted_to(training: Path, tmp_path: Path):
    words = (
        "crossval",
        training,
        "-o",
        tmp_path / "folds",
        "--only",
        "side-chain-ser",
        "--shots",
        "4",
    )
    [found] = json.loads(call(*words, "--json"))
    assert (found["left_out"], found["family"], found["k"]) == ("side-chain-ser",) * 2 + (4,)
    assert found["forces"] < found["shift_forces"]
    assert json.loads(call(*words, "--json")) == [found]
