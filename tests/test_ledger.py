"""The ledger: rows come back bit by bit, are durable before use, and belong to one payer."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from kshot.atoms import Failure, Fingerprint, Labels, Structure
from kshot.core.errors import InputError
from kshot.labelers import Ledger, label_all, labeler
from kshot.labelers.examples import displaced, water
from kshot.labelers.executors import Local, Work
from kshot.labelers.executors.local import IN_HAND
from kshot.labelers.ledger import Retry, sessions, transfer
from kshot.labelers.ledger.verify import verify
from kshot.labelers.logged import Logged, runs
from labelers_trouble import Trouble

HERE = str(Path(__file__).parent)
LEVEL = Fingerprint("test", "1", "none", settings={"exact": True})
OTHER = Fingerprint("test", "2", "none")
BAD = Failure("not converged", "after 7 cycles")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path):
    with Ledger(path) as opened:
        yield opened


def labels_of(structure: Structure, energy: float = -0.1, level: Fingerprint = LEVEL) -> Labels:
    forces = np.random.default_rng(0).normal(size=(len(structure), 3))
    return Labels(energy, forces, fingerprint=level)


def several(number: int) -> list[Structure]:
    return list(displaced(water(), 0.05))[:number]


def test_rows_come_back_bit_by_bit(ledger, path):
    cell = np.diag([3.0, 4.0, 5.0])
    pbc = np.array([True, False, True])
    given = water().replace(charge=2, multiplicity=3, cell=cell, pbc=pbc, family="W", info={"n": 1})
    stress = np.arange(9.0).reshape(3, 3) / 7
    stored = Labels(1 / 3, given.positions / 3, stress, LEVEL)
    ledger.put(given, LEVEL, stored, 0.25)
    with Ledger(path, write=False) as reader:
        (row,) = reader.rows()
    assert (row.result.energy, row.cost, row.attempts) == (1 / 3, 0.25, 1)
    assert np.array_equal(row.result.forces, stored.forces)
    assert np.array_equal(row.result.stress, stress)
    assert row.structure.key == given.key
    assert (row.structure.family, row.structure.info) == ("W", {"n": 1})
    assert row.fingerprint == LEVEL
    assert '"host"' in row.about


def test_levels_charges_and_spins_are_kept_apart(ledger):
    ledger.put(water(), LEVEL, labels_of(water()), 0.1)
    assert ledger.get(water(), OTHER) is None
    assert ledger.get(water().replace(charge=1, multiplicity=2), LEVEL) is None
    with pytest.raises(InputError, match="never mix"):
        ledger.put(water(), OTHER, labels_of(water()), 0.1)


def test_forces_of_another_shape_are_refused(ledger):
    with pytest.raises(InputError, match="forces of shape"):
        ledger.put(water(), LEVEL, Labels(0.0, np.zeros((2, 3)), fingerprint=LEVEL), 0.1)


def test_good_labels_stay_and_failures_give_way(ledger):
    ledger.put(water(), LEVEL, BAD, 1.0)
    assert ledger.get(water(), LEVEL) == BAD
    ledger.put(water(), LEVEL, labels_of(water(), -1.0), 2.0)
    ledger.put(water(), LEVEL, labels_of(water(), -2.0), 4.0)
    ledger.put(water(), LEVEL, BAD, 8.0)
    (row,) = ledger.rows()
    assert (row.result.energy, row.cost, row.attempts) == (-1.0, 3.0, 2)


def test_asked_twice_runs_once(ledger, tmp_path):
    engine = Logged(labeler("analytic", failures=0.5), tmp_path / "runs")
    structures = several(12)
    first = label_all(structures * 2, engine, ledger, progress=False)
    again = label_all([s.replace() for s in structures], engine, ledger, progress=False)
    assert set(runs(tmp_path / "runs").begun.values()) == {1}
    assert 0 < sum(isinstance(found, Failure) for found in again) < 12
    for one, two, three in zip(first[:12], first[12:], again, strict=True):
        assert str(one) == str(two) == str(three)


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.06])
def test_local_labels_are_kept_before_they_are_handed_out(ledger, tmp_path, seconds):
    engine = Logged(labeler("analytic", seconds=seconds), tmp_path / "runs")
    work = Work(engine, ledger, Retry(), threading.Event())
    seen, most = 0, 0
    for structure, _ in Local().run(iter([*several(6), None, *several(12)[6:]]), work):
        seen += 1
        most = max(most, len(runs(tmp_path / "runs").ended) - seen)
        assert ledger.get(structure, engine.fingerprint) is not None
    assert seen == 12
    assert (most == 0) == (seconds > IN_HAND)  # slow labels never wait for others


def test_what_a_quick_engine_finished_is_kept_when_it_fails(ledger):
    first, second, third = several(3)
    with pytest.raises(InputError, match="Call it better"):
        label_all([first, second, third.replace(family="wrong")], Trouble(), ledger, progress=False)
    assert len(list(ledger.rows())) == 2


def test_failures_are_run_again_only_on_request(ledger, tmp_path):
    engine = Logged(labeler("analytic", failures=1.0), tmp_path / "runs")
    for retry in ((), ("time",), ("not converged",)):
        label_all(several(2), engine, ledger, retry=retry, progress=False)
    assert set(runs(tmp_path / "runs").begun.values()) == {2}


def test_nothing_is_handed_out_before_it_is_on_the_disk(ledger, path, monkeypatch):
    ledger.get(water(), LEVEL)
    events = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), fsync(fd)))
    with Ledger(path) as other:  # the one who asks need not be the one who wrote
        ledger.put(water(), LEVEL, labels_of(water()), 0.1)
        del events[:]
        assert other.get(water(), LEVEL) is not None
        assert events == ["fsync"]


def test_a_label_survives_kill_right_after_put(path):
    code = f"""
import os, signal, sys
sys.path.insert(0, {HERE!r})
from test_ledger import *
ledger = Ledger({str(path)!r})
ledger.put(water(), LEVEL, labels_of(water()), 0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert process.returncode == -9, process.stderr
    with Ledger(path) as ledger:
        assert ledger.get(water(), LEVEL).energy == -0.1


def test_claims_belong_to_one_living_session(ledger, path):
    structures = several(4)
    with Ledger(path) as other:
        assert ledger.claim(structures[:3], LEVEL, Retry()) == ([0, 1, 2], [], [])
        ledger.put(structures[0], LEVEL, BAD, 0.1)
        assert other.claim(structures, LEVEL, Retry()) == ([3], [0], [1, 2])
        ledger.release()
        assert other.claim(structures, LEVEL, Retry()).granted == [1, 2, 3]


def test_claims_of_the_dead_are_taken_over_after_a_moment(ledger, path, monkeypatch):
    code = f"""
import os, signal, sys
sys.path.insert(0, {HERE!r})
from test_ledger import *
Ledger({str(path)!r}).claim(several(2), LEVEL, Retry())
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert ledger.claim(several(2), LEVEL, Retry()).held == [0, 1]
    monkeypatch.setattr(sessions, "GRACE", 0.0)
    time.sleep(0.01)
    assert ledger.claim(several(2), LEVEL, Retry()).granted == [0, 1]


def test_claims_of_another_machine_hold_as_long_as_their_lease(ledger, path, monkeypatch):
    ledger.claim(several(1), LEVEL, Retry())
    monkeypatch.setattr(sessions, "machine", lambda: "another container")
    monkeypatch.setattr(sessions, "GRACE", 0.0)
    with Ledger(path) as other:
        assert other.claim(several(1), LEVEL, Retry()).held == [0]
        monkeypatch.setattr(sessions, "LEASE", -1.0)
        other.claim(several(1), LEVEL, Retry())
        time.sleep(0.01)
        assert other.claim(several(1), LEVEL, Retry()).granted == [0]


def test_process_numbers_are_not_trusted_alone():
    assert sessions.started(os.getpid()) != ""
    assert sessions.started(2**22 + 1) == ""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    while sessions.started(child.pid):
        time.sleep(0.01)  # it ends, and is a zombie until waited for
    child.wait()


def test_other_schema_version(ledger, path):
    ledger.sync()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for write in (True, False):
        with pytest.raises(InputError, match=r"schema version 1.*version 99.*export"):
            Ledger(path, write=write)


def test_not_a_ledger(tmp_path):
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(InputError, match="a kshot ledger"):
        Ledger(tmp_path / "text")
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    with pytest.raises(InputError, match="another program"):
        Ledger(tmp_path / "other.db")


def test_read_only_file(path):
    with Ledger(path) as ledger:
        ledger.put(water(), LEVEL, labels_of(water()), 0.1)
    path.chmod(0o444)
    with pytest.raises(InputError, match="write permission"):
        Ledger(path)
    with Ledger(path, write=False) as reader:
        assert reader.get(water(), LEVEL).energy == -0.1


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no file"):
        Ledger(tmp_path / "none.db", write=False)
    with pytest.raises(InputError, match="folder must exist"):
        Ledger(tmp_path / "none" / "ledger.db")


def test_full_disk_before_and_during(path, tmp_path, monkeypatch):
    engine = Logged(labeler("analytic"), tmp_path / "runs")
    with Ledger(path) as ledger:
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Disk", (), {"free": 10})())
        with pytest.raises(InputError, match="Nothing was run"):
            label_all(several(2), engine, ledger, progress=False)
        assert runs(tmp_path / "runs").begun == {}
        monkeypatch.undo()
        label_all(several(1), engine, ledger, progress=False)
        pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
        many = [s for n in range(1, 20) for s in displaced(water(), 0.005 * n)]
        with pytest.raises(InputError, match=r"room on the ledger's disk.*Free some space"):
            label_all(many, engine, ledger, progress=False)
        ledger._connection.execute("PRAGMA max_page_count = 1000000")
        label_all(several(12), engine, ledger, progress=False)
    with Ledger(path) as ledger:
        assert isinstance(ledger.get(several(1)[0], engine.fingerprint), Labels)


@pytest.mark.parametrize("ending", ["extxyz", "h5", "db"])
def test_export_and_import(ledger, tmp_path, ending):
    engine = labeler("analytic", failures=0.3)
    stored = label_all(several(8), engine, ledger, progress=False)
    good = sum(isinstance(found, Labels) for found in stored)
    out = tmp_path / f"out.{ending}"
    assert transfer.export(ledger, out) == good < 8
    with Ledger(tmp_path / "new.db") as new:
        assert transfer.import_file(new, out, engine.fingerprint) == (good, 0, 0)
        for structure, was in zip(several(8), stored, strict=True):
            now = new.get(structure, engine.fingerprint)
            if isinstance(was, Labels):
                assert now.energy == pytest.approx(was.energy, abs=1e-9)


def test_export_never_mixes_levels(ledger, tmp_path):
    ledger.put(water(), LEVEL, labels_of(water()), 0.1)
    ledger.put(water(), OTHER, labels_of(water(), level=OTHER), 0.1)
    with pytest.raises(InputError, match="never mix"):
        transfer.export(ledger, tmp_path / "out.extxyz")
    chosen = transfer.choose(ledger, OTHER.digest[:6])
    assert transfer.export(ledger, tmp_path / "out.extxyz", chosen) == 1


def test_merge(ledger, tmp_path):
    one, two, three = several(3)
    ledger.put(one, LEVEL, BAD, 1.0)
    ledger.put(two, LEVEL, labels_of(two, -1.0), 1.0)
    with Ledger(tmp_path / "other.db") as other:
        other.put(one, LEVEL, labels_of(one), 2.0)
        other.put(two, LEVEL, labels_of(two, -1.5), 2.0)
        other.put(three, LEVEL, BAD, 2.0)
        theirs = {row.session for row in other.rows()}
        assert transfer.merge(ledger, other) == (2, 1, 1)
        assert transfer.merge(ledger, other) == (0, 3, 1)
    rows = {row.structure.key: row for row in ledger.rows()}
    assert rows[one.key].cost == 3.0
    assert rows[two.key].result.energy == -1.0
    assert {rows[one.key].session, rows[three.key].session} == theirs


def test_verify_finds_a_changed_label(ledger):
    engine = labeler("analytic")
    label_all(several(4), engine, ledger, progress=False)
    assert all(v.holds for v in verify(ledger, lambda _: engine, sample=4, progress=False))
    ledger._connection.execute("UPDATE labels SET energy = energy + 0.001 WHERE id = 2")
    wrong = [v for v in verify(ledger, lambda _: engine, sample=4, progress=False) if not v.holds]
    assert [round(v.energy, 6) for v in wrong] == [0.001]
