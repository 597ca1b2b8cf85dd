"""What a start is tested on never trains it: spies stand where training is handed its data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import springs
from kshot.atoms import Labelled
from kshot.fewshot.anchors import anchors_of
from kshot.labelers import labeler
from kshot.pipeline import crossval, meta, train
from kshot.pipeline.config import TrainConfig
from kshot.pipeline.draws import Drawn, Job
from kshot.pipeline.families import chosen
from kshot.potentials.model import Model

TRAINING = {"side-chain-ala", "side-chain-asn"}
HELD_OUT, RELATIVE, VALIDATION = "side-chain-ser", "side-chain-thr", "side-chain-asp"
FRAMES = 6  # of each member


def config(folder: Path) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "families": {
                "strata": ["side-chain"],
                "most_atoms": 9,
                "held_out": [HELD_OUT],
                "relatives": [RELATIVE],
                "validation": [VALIDATION],
            },
            "data": {"folder": folder, "engine": "analytic"},
            "model": {"architecture": "morse"},
            "joint": {"batch": 4},
            "meta": {"algorithm": "reptile", "shots": 3, "query": 3, "inner_steps": 1},
            "anchors": 9,
        }
    )


def test_a_family_stands_on_one_side_only(tmp_path: Path):
    families = chosen(config(tmp_path).families)
    assert {one.name for one in families.training} == TRAINING
    assert [one.name for one in families.validation] == [VALIDATION]
    assert [one.name for one in families.held_out] == [HELD_OUT]


class Handed(NamedTuple):
    """What each part of a training was handed.

    Args:
        drawn: names of the families of which configurations were drawn.
        labelled: every labelled frame there was.
        joint, meta, e0s, prior: forces on atoms as bytes, which tell frames apart.
        tasks: which frames each task of the prior adapts on, and which it is judged on.
        start: what came out.
    """

    drawn: set[str]
    labelled: list[Labelled]
    joint: set[bytes]
    meta: set[bytes]
    e0s: set[bytes]
    prior: set[bytes]
    tasks: list[tuple[set[int], set[int]]]
    start: Model

    def of(self, *families: str) -> set[bytes]:
        """Return the forces of some families' frames."""
        mine = [one for one in self.labelled if one.structure.family in families]
        return forces_of(one.labels.forces for one in mine)


def forces_of(arrays: Iterable[np.ndarray]) -> set[bytes]:
    return {row.tobytes() for array in arrays for row in np.asarray(array, np.float32)}


def in_packs(tree: Any) -> set[bytes]:
    """Forces on the real atoms of a task's packs."""
    packs = [one for one in (tree.support, tree.query) if one is not None]
    return forces_of(np.asarray(one.forces)[np.asarray(one.felt)] for one in packs)


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Handed:
    """Run the whole of `train` but for the optimisers, in whose stead spies stand."""
    folder, rng = tmp_path_factory.mktemp("training"), np.random.default_rng(0)
    drawn, labelled, e0s, learned_from = set(), [], [], []
    seen: dict[str, set[bytes]] = {"joint": set(), "meta": set()}
    tasks: list[tuple[set[int], set[int]]] = []
    fit_e0s, rows, episode = train.fit_e0s, meta.rows, meta.episode

    def draw_all(jobs: Sequence[Job], workers: int | None) -> Drawn:
        drawn.update(job.family.name for job in jobs)
        frames = []
        for job in jobs:
            still = job.member.structure
            for _ in range(FRAMES):
                moved = still.positions + 0.05 * rng.standard_normal(still.positions.shape)
                frames.append(still.replace(positions=moved, family=job.family.name))
        return Drawn(frames, [])

    def label_frames(frames, engine: str, *rest) -> tuple[list[Labelled], int]:
        labelled.extend(Labelled(one, labeler(engine).label(one)) for one in frames)
        return list(labelled), 0

    def train_jointly(loss, stream, plan, *, params, folder, watch):
        generator = np.random.default_rng(0)
        seen["joint"] = set().union(*(in_packs(stream(generator)) for _ in range(40)))
        return params

    def meta_train(model, stream, inner, **rest):
        generator = np.random.default_rng(0)
        seen["meta"] = set().union(*(in_packs(stream(generator)) for _ in range(20)))
        return model

    def fit_and_note(frames, *rest, **options):
        e0s.extend(frames)
        return fit_e0s(frames, *rest, **options)

    def rows_and_note(potential, params, pieces, **options):
        learned_from.extend(pieces)
        return rows(potential, params, pieces, **options)

    def episode_and_note(model, rows, support, query):
        tasks.append((set(support), set(query)))
        return episode(model, rows, support, query)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "draw_all", draw_all)
        patch.setattr(train, "label_frames", label_frames)
        patch.setattr(train, "train_jointly", train_jointly)
        patch.setattr(meta, "meta_train", meta_train)
        patch.setattr(train, "fit_e0s", fit_and_note)
        patch.setattr(meta, "rows", rows_and_note)
        patch.setattr(meta, "episode", episode_and_note)
        start = train.train(config(folder), folder, lambda line: None)
    return Handed(
        drawn,
        labelled,
        seen["joint"],
        seen["meta"],
        forces_of(one.labels.forces for one in e0s),
        forces_of(one.forces for one in learned_from),
        tasks,
        start,
    )


def test_nothing_of_held_out_families_or_their_relatives_is_drawn(handed: Handed):
    assert handed.drawn == {*TRAINING, VALIDATION}


def test_joint_training_sees_training_families_and_no_other(handed: Handed):
    assert handed.joint <= handed.of(*TRAINING)
    for family in TRAINING:  # the spy can tell
        assert handed.joint & handed.of(family)


def test_meta_training_sees_training_families_and_no_other(handed: Handed):
    assert handed.meta
    assert handed.meta <= handed.of(*TRAINING)


def test_e0s_and_anchors_are_of_training_families(handed: Handed):
    assert handed.e0s == handed.of(*TRAINING)
    anchors = forces_of(one.labels.forces for one in anchors_of(handed.start))
    assert anchors
    assert anchors <= handed.of(*TRAINING)


def test_the_prior_is_learned_on_families_that_the_body_has_not_seen(handed: Handed):
    assert handed.prior
    assert handed.prior <= handed.of(VALIDATION)


def test_the_prior_is_judged_on_frames_that_its_tasks_did_not_adapt_on(handed: Handed):
    assert handed.tasks
    for support, query in handed.tasks:
        assert len(support) == len(query) == 3
        assert not support & query


@pytest.mark.parametrize(("by", "name"), [("family", "side-chain-asn"), ("stratum", "side-chain")])
def test_a_fold_trains_on_nothing_that_it_leaves_out(by, name, tmp_path, monkeypatch):
    more = {"strata": ("side-chain", "sugar"), "most_atoms": 24}
    asked = config(tmp_path)
    asked = asked.model_copy(update={"families": asked.families.model_copy(update=more)})
    out = set(crossval.folds(asked, by)[name])
    trained, tested = [], []

    def spy(config: TrainConfig, *rest):
        trained.append({one.name for one in chosen(config.families).training})
        return springs.start()

    def frames(config: TrainConfig):
        tested.append({one.name for one in chosen(config.families).held_out})
        return {}

    monkeypatch.setattr(crossval, "train", spy)
    monkeypatch.setattr(crossval, "held_out_frames", frames)
    assert crossval.cross_validate(asked, tmp_path, by=by, only=[name]) == []
    assert trained == [{one.name for one in chosen(asked.families).training} - out]
    assert tested == [out]
