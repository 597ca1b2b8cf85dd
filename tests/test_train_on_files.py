"""A start trained on a file of labelled frames: who trains, who validates, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kshot.atoms import Fingerprint, Labelled
from kshot.atoms.files import write
from kshot.core.errors import DataError
from kshot.fewshot.batches import batches
from kshot.labelers import labeler
from kshot.meta.fingerprint import describe
from kshot.pipeline import train as pipeline_train
from kshot.pipeline.config import FamiliesConfig, parse_config
from kshot.pipeline.train import read_data, train
from kshot.potentials.packed import pieces
from methanol import METHANOL

LEVEL = Fingerprint("tests", "1", "analytic")
FAMILIES = ("alcohol", "ether", "enol", "acetal", "ketal")
LISTS = FamiliesConfig(
    elements=("H", "C", "O"), held_out=("ether",), relatives=("enol",), validation=("acetal",)
)


def frames(family: str, count: int = 6) -> list[Labelled]:
    rng, engine = np.random.default_rng(len(family)), labeler("analytic")
    moved = [
        METHANOL.replace(
            positions=METHANOL.positions + 0.05 * rng.standard_normal((6, 3)), family=family
        )
        for _ in range(count)
    ]
    return [Labelled(frame, engine.label(frame)) for frame in moved]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "frames.extxyz"
    write(path, [frame for family in FAMILIES for frame in frames(family)])
    return path


def test_only_families_that_are_named_nowhere_train(file: Path):
    data = read_data(file, LISTS, LEVEL)
    assert set(data.training) == {"alcohol", "ketal"}
    assert set(data.validation) == {"acetal"}
    assert [len(part) for part in data.training.values()] == [6, 6]


def test_the_last_bits_of_e0s_make_no_other_frames(monkeypatch):
    # other numbers of threads solve to other last bits; a run has to go on, on any machine
    training = {name: frames(name) for name in FAMILIES[:2]}
    fitted, digests = pipeline_train.fit_e0s, set()
    for jitter in (0.0, 1e-10):

        def jittered(*given, jitter=jitter, **more):
            e0s = fitted(*given, **more)
            return replace(e0s, energies={z: e + jitter for z, e in e0s.energies.items()})

        monkeypatch.setattr(pipeline_train, "fit_e0s", jittered)
        e0s = pipeline_train.settle_e0s("analytic", training)
        made = pipeline_train.as_pieces(training, 4.0, e0s)
        digests.add(batches(made, 4, 4.0, "float32").digest)
    assert len(digests) == 1


def test_labels_of_no_level_are_of_the_one_that_is_stated(tmp_path: Path):
    path = tmp_path / "frames.h5"  # a layout that has no place for a level
    write(path, frames("alcohol"))
    levels = {
        frame.labels.fingerprint for frame in read_data(path, LISTS, LEVEL).training["alcohol"]
    }
    assert levels == {LEVEL}


def test_a_frame_without_a_family_is_refused(tmp_path: Path):
    path = tmp_path / "frames.extxyz"
    write(path, [*frames("alcohol"), *frames("", 1)])
    with pytest.raises(DataError, match=r"a family of each frame.*frame 6.*family=NAME"):
        read_data(path, LISTS, LEVEL)


def test_a_file_of_which_nothing_may_train_is_refused(file: Path):
    with pytest.raises(DataError, match="frames that may train"):
        read_data(file, LISTS.model_copy(update={"elements": ("H", "C")}), LEVEL)


def test_a_start_comes_of_a_file(file: Path, tmp_path: Path):
    config = parse_config(
        {
            "families": {"elements": ["H", "C", "O"]},
            "data": {"labelled": str(file), "engine": "analytic"},
            "model": {"architecture": "morse"},
            "joint": {"steps": 4, "batch": 2},
            "anchors": 0,
        }
    )
    model = train(config, tmp_path / "training", say=lambda _: None)
    assert model.record["families"] == sorted(FAMILIES)
    assert not (tmp_path / "data").exists()


def test_other_frames_are_another_run(file: Path):
    families = read_data(file, LISTS, LEVEL).training
    held = {name: pieces(part, 4.5, np.zeros(len(part))) for name, part in families.items()}
    moved = {**held, "ketal": [*held["ketal"][:-1], held["ketal"][-1]._replace(energy=1.0)]}
    stream, same, other = (batches(part, 2, 4.5, "float32") for part in (held, dict(held), moved))
    assert describe(stream) == describe(same)
    assert describe(stream) != describe(other)
    assert len(json.dumps(describe(stream))) < 1000  # a description of frames grows with them
