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
from kshot.core.errors import KshotError, OptionError, TaskError, UnknownNameError
from kshot.fewshot.inner import inner_of
from kshot.labelers import labeler
from kshot.pipeline.config import ConfigError, StudyConfig, TrainConfig, load_config
from kshot.pipeline.crossval import folds
from kshot.pipeline.study import load_study, support_and_test
from kshot.pipeline.study_table import against, labels_needed
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
    write(tmp_path / "methanol.extxyz", [*trajectory("a", 12, 0), *trajectory("b", 8, 1)])
    config = tmp_path / "study.yaml"
    config.write_text(
        f"start: {tmp_path}/start.kshot\n"
        f"frames: {{methanol: {tmp_path}/methanol.extxyz}}\n"
        f"shots: [3, 10]\nseeds: [0, 1]\ntest: 6\nfolder: {tmp_path}/study\n"
    )
    return config


def test_a_study_is_a_table_and_its_numbers_are_kept(study: Path, tmp_path: Path):
    rows = json.loads(call("eval", study, "--json"))
    assert {(one["k"], one["seed"]) for one in rows} == {(3, 0), (3, 1), (10, 0), (10, 1)}
    assert {one["method"] for one in rows} == {"kshot", "shift", "head", "uniform", "meta"}
    of = lambda method, k: np.mean(  # noqa: E731
        [one["forces"] for one in rows if (one["method"], one["k"]) == (method, k)]
    )
    assert of("kshot", 10) < of("shift", 10)
    page = (tmp_path / "study" / "results.md").read_text()
    assert "| zero-shot + shift |" in page
    assert (tmp_path / "study" / "results.png").stat().st_size > 1000
    card = call("models", "card", tmp_path / "start.kshot", "--study", tmp_path / "study")
    assert "- elements H C O; charges +0; multiplicities 1" in card
    assert f"{1e3 * of('kshot', 10):.1f}" in card
    assert "The hardest of them: methanol" in card
    kept = tmp_path / "study" / "results" / "closed-methanol.json"
    before = kept.stat().st_mtime_ns
    assert json.loads(call("eval", study, "--json")) == rows
    assert kept.stat().st_mtime_ns == before
    # another seed is paid for alone; other numbers of shots are another study.
    more = json.loads(call("eval", study, "--set", "seeds=[0,1,2]", "--json"))
    assert more[: len(rows)] == rows
    assert {one["seed"] for one in more[len(rows) :]} == {2}
    again = json.loads(call("eval", study, "--set", "shots=[3]", "--json"))
    assert {one["k"] for one in again} == {3}


def test_a_card_without_a_study_says_so():
    card = call("models", "card", "bio-small")
    assert "- 11 held out from everything: side-chain-his" in card
    assert card.endswith("No study of this start is known.\n\n")


def test_methods_are_compared_on_the_same_families_with_the_same_labels():
    case = {"k": 5, "seed": 0, "forces": 0.1}
    rows = [
        {"family": "a", "method": "kshot", "energy": 0.01, **case},
        {"family": "a", "method": "kshot", "energy": 9.0, **case, "seed": 1},
        {"family": "b", "method": "kshot", "energy": 9.0, **case},
        {"family": "a", "method": "shift", "energy": 0.025, **case, "forces": 0.3},
    ]
    assert against(rows)[-1] == "| zero-shot + shift | 1 | 2.50, 3.00 |"


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ({5: [10, 12], 10: [9, 9]}, "≤ 5"),
        ({5: [50, 60], 10: [30, 60], 20: [20, 30]}, "20"),
        ({5: [20], 10: [60]}, "> 10"),  # what holds at five by chance does not count
        ({}, ""),
    ],
)
def test_labels_needed_are_those_from_which_on_the_error_stays_below(errors, told):
    rows = [
        {"family": "f", "method": "kshot", "k": k, "energy": value / 1e3}
        for k, values in errors.items()
        for value in values
    ]
    lines = labels_needed([*rows, {"family": "f", "method": "shift", "k": 5, "energy": 1.0}])
    assert lines[-1] == f"| f | {told} | > 5 |" if errors else lines[-1] == "| f | > 5 |"


def test_test_frames_are_of_other_trajectories():
    frames = [*trajectory("a", 4, 0), *trajectory("b", 9, 1), *trajectory("c", 2, 2)]
    pool, asked = support_and_test(frames, 5)
    names = [{one.structure.info["trajectory"] for one in part} for part in (pool, asked)]
    assert names == [{"a"}, {"b", "c"}]
    assert len(asked) == 5
    with pytest.raises(TaskError, match="two trajectories"):
        support_and_test(frames[:4], 2)


def test_a_study_names_what_it_is_about(study: Path):
    with pytest.raises(ConfigError, match="either training or frames"):
        load_study(StudyConfig())
    with pytest.raises(ConfigError, match="did you mean 'seeds'"):
        load_config(study, ("seed=[1]",), StudyConfig)
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
