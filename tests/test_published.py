"""Published files: what is not the whole and right file is refused; shots and tests stay apart."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from kshot.atoms import Labelled
from kshot.atoms.files import write
from kshot.core.errors import DataError
from kshot.labelers import labeler
from kshot.pipeline.study.jobs import is_scan
from methanol import METHANOL

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "published" / "sets.py"


@pytest.fixture(scope="module")
def sets():
    spec = importlib.util.spec_from_file_location("published_sets", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def drawn(count: int, seed: int) -> list[Labelled]:
    rng, engine = np.random.default_rng(seed), labeler("analytic")
    frames = [
        METHANOL.replace(positions=METHANOL.positions + 0.05 * rng.standard_normal((6, 3)))
        for _ in range(count)
    ]
    return [Labelled(frame, engine.label(frame)) for frame in frames]


def keys(frames) -> set[str]:
    return {frame.structure.key for frame in frames}


def as_published(path: Path, frames: list[Labelled]) -> None:
    """Write frames under the keys that published files have."""
    write(path, frames)
    path.write_text(path.read_text().replace("REF_", ""))


def source_of(sets, path: Path, frames: list[Labelled], *, forces: bool = True):
    energies = [frame.labels.energy for frame in frames]
    return sets.Source(path.name, "CH4O", len(frames), min(energies), max(energies), forces)


@pytest.fixture
def file(sets, tmp_path):
    frames = drawn(8, 0)
    path = tmp_path / "methanol.xyz"
    as_published(path, frames)
    return path, source_of(sets, path, frames)


def test_a_whole_file_is_read(sets, file):
    path, source = file
    assert len(sets.read(path.parent, source)) == 8


@pytest.mark.parametrize("lines", [8 * 8 - 3, 7 * 8])  # within a frame, and between two
def test_a_truncated_file_is_refused(sets, file, lines):
    path, source = file
    path.write_text("\n".join(path.read_text().splitlines()[:lines]) + "\n")
    with pytest.raises(DataError, match=r"truncated"):
        sets.read(path.parent, source)


def test_another_file_is_refused(sets, file):
    path, source = file
    with pytest.raises(DataError, match="no such file"):
        sets.read(path.parent / "nowhere", source)
    with pytest.raises(DataError, match="frames of CH4O"):
        sets.read(path.parent, source._replace(formula="C2H6O"))
    hartree = source._replace(lowest=source.lowest / 27.2, highest=source.highest / 27.2)
    with pytest.raises(DataError, match="energies from"):
        sets.read(path.parent, hartree)


def test_a_scan_has_energies_only(sets, tmp_path):
    frames, path = drawn(5, 0), tmp_path / "scan.xyz"
    blocks = []
    for frame in frames:
        rows = [
            f"{name} {' '.join(map(repr, place.tolist()))}"
            for name, place in zip("COHHHH", frame.structure.positions, strict=True)
        ]
        head = f'Properties=species:S:1:pos:R:3 energy={frame.labels.energy!r} pbc="F F F"'
        blocks += ["6", head, *rows]
    path.write_text("\n".join(blocks) + "\n")
    source = source_of(sets, path, frames, forces=False)
    read = sets.read(tmp_path, source)
    assert is_scan(read)
    assert not is_scan(frames)
    want = [frame.labels.energy for frame in frames]
    np.testing.assert_allclose([frame.labels.energy for frame in read], want)


def test_no_shot_is_a_test_frame_and_none_is_there_twice(sets, tmp_path, monkeypatch):
    ours, others = drawn(12, 0), drawn(6, 1)
    files = {"a.xyz": [*ours, ours[3]], "b.xyz": [*others, ours[0], ours[5]]}
    for name, frames in files.items():
        as_published(tmp_path / name, frames)
    a, b = (source_of(sets, tmp_path / name, frames) for name, frames in files.items())
    monkeypatch.setattr(sets, "TEST", 4)
    monkeypatch.setattr(sets, "SETS", {"x": sets.Published("none", a, {"same": a, "shift": b})})
    pool = sets.published_pool("x", tmp_path)
    assert len(pool.shots) == len(keys(pool.shots)) == 12 - 4
    assert {name: len(frames) for name, frames in pool.tests.items()} == {"same": 4, "shift": 4}
    assert not keys(pool.shots) & (keys(pool.tests["same"]) | keys(pool.tests["shift"]))
    assert not keys(pool.tests["shift"]) & keys(ours)
    again = sets.published_pool("x", tmp_path)
    assert keys(again.tests["same"]) == keys(pool.tests["same"])
