"""The frames of the few-shot study are what its protocol says."""

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from kshot.atoms.files import read_labelled
from kshot.families import load_catalogue
from kshot.families.catalogue.bonds import what_changed
from kshot.families.catalogue.entries import read_entries
from kshot.families.distributions import likeness
from kshot.labelers import labeler
from kshot.pipeline.config import load_config
from kshot.pipeline.families import chosen

STUDY = Path(__file__).parent.parent / "benchmarks/fewshot"
FILES = sorted((STUDY / "frames").glob("*/*.extxyz.xz"))
TESTED = {entry.name: entry for entry in read_entries(STUDY / "families.toml")}
CATALOGUE = {family.name: family for family in load_catalogue()}
SHOTS = ("shots-1", "shots-2", "shots-3")


@cache
def frames_of(path):
    return list(read_labelled(path))


@cache
def families():
    return chosen(load_config(STUDY / "bio-small.yaml").families)


def name_of(path):
    return path.name.removesuffix(".extxyz.xz")


def trajectories(path):
    return Counter(frame.structure.info["trajectory"] for frame in frames_of(path))


def test_frames_are_those_of_known_families():
    sides = {"test": set(), "development": set()}
    for path in FILES:
        sides[path.parent.name].add(name_of(path))
    assert sides["test"] == set(TESTED)
    assert len(sides["development"]) == 8
    assert sum(path.stat().st_size for path in FILES) < 6e6


def test_tested_families_are_new_and_development_families_used_up():
    assert not set(TESTED) & set(CATALOGUE)
    apart = {family.name for family in (*families().held_out, *families().validation)}
    assert {name_of(p) for p in FILES if p.parent.name == "development"} <= apart


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_trajectories(path):
    counts = trajectories(path)
    least = 90 if path.parent.name == "test" else 60
    assert all(counts.pop(name) >= least for name in SHOTS)
    unseen = {"test-conformer", "test-hot"} & set(counts)
    stereo = (
        {"test-stereo"} if len(getattr(TESTED.get(name_of(path)), "members", ())) > 1 else set()
    )
    assert len(unseen) == 1
    assert set(counts) == {"test-same"} | unseen | stereo
    assert set(counts.values()) == {40}
    keys = {frame.structure.key for frame in frames_of(path)}
    assert len(keys) == len(frames_of(path))
    assert {frame.labels.fingerprint for frame in frames_of(path)} == {labeler("gfn2").fingerprint}


@pytest.mark.parametrize("name", [name_of(p) for p in FILES if p.parent.name == "test"])
def test_frames_of_tested_families_are_the_molecule_they_say(name):
    path = STUDY / "frames/test" / f"{name}.extxyz.xz"
    last = {frame.structure.info["trajectory"]: frame.structure for frame in frames_of(path)}
    first, *more = TESTED[name].members
    for trajectory, structure in last.items():
        member = more[0] if trajectory == "test-stereo" else first
        assert not what_changed(member, structure), trajectory
        assert structure.charge == member.charge
    if more:
        assert "stereo" in what_changed(first, last["test-stereo"])


def test_labels_are_those_of_gfn2():
    structure, labels = frames_of(STUDY / "frames/development/guanidinium.extxyz.xz")[7]
    again = labeler("gfn2").label(structure)
    assert again.energy == pytest.approx(labels.energy, abs=1e-5)
    np.testing.assert_allclose(again.forces, labels.forces, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", TESTED)
def test_no_tested_family_has_a_near_neighbour(name):
    family = next(f for f in load_catalogue(STUDY / "families.toml") if f.name == name)
    found = likeness(family, (*families().training, *families().validation))
    assert not [each for each in found if each.near]
