"""Engines in other processes: limits, crashes, blame, and what kill -9 and Ctrl-C leave behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kshot.atoms import Failure, Labeler, Labels
from kshot.core.errors import InputError
from kshot.labelers import Isolated, Ledger, label_all, labeler
from kshot.labelers.examples import displaced, water
from kshot.labelers.executors import Dask, Pool
from kshot.labelers.logged import runs
from labelers_trouble import Trouble

KILLS = Path(__file__).parent.parent / "benchmarks" / "labels" / "kills.py"


def some(*families: str):
    return [
        structure.replace(family=name)
        for name, structure in zip(families, displaced(water()), strict=False)
    ]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def test_isolated_engine_gives_the_same_label():
    isolated = Isolated(labeler("gfn2"))
    assert isolated.fingerprint == labeler("gfn2").fingerprint
    assert isolated.label(water()).energy == labeler("gfn2").label(water()).energy
    isolated.close()


@pytest.mark.parametrize(
    ("family", "reason", "words"),
    [("hang", "time", "1 s"), ("die", "crash", "SIGKILL: last words"), ("exit", "crash", "3")],
)
def test_trouble_becomes_a_failure_and_the_next_label_is_well(family, reason, words):
    isolated = Isolated(Trouble(), seconds=1.0, attempts=1)
    bad, good = some(family, "")
    failure = isolated.label(bad)
    assert isinstance(failure, Failure)
    assert failure.reason == reason
    assert words in failure.detail
    assert isinstance(isolated.label(good), Labels)
    isolated.close()


def test_memory_limit():
    isolated = Isolated(Trouble(), memory_mb=600.0, attempts=1)
    (bad,) = some("swell")
    assert isolated.label(bad).reason == "memory"
    isolated.close()


def test_the_callers_faults_come_back_as_errors(ledger):
    with pytest.raises(InputError, match="Call it better"):
        label_all(some("", "wrong"), Trouble(), ledger, Pool(1), progress=False)


def test_labeler_that_cannot_travel(ledger):
    class Local(Trouble):
        pass

    with pytest.raises(InputError, match="top level of a module"):
        label_all([water()], Local(), ledger, Pool(1), progress=False)


def test_pool_keeps_limits_and_sets_aside_what_kills(ledger):
    structures = some("", "die", "hang", "", "")
    pool = Pool(2, seconds=2.0, attempts=2)
    results = label_all(structures, Trouble(), ledger, pool, progress=False)
    reasons = [found.reason if isinstance(found, Failure) else "" for found in results]
    assert reasons == ["", "set aside", "time", "", ""]
    assert "killed 2 workers" in results[1].detail


def test_dask_sets_aside_what_kills_and_nothing_else(ledger, tmp_path):
    structures = some("", "die", "", "", "")
    results = label_all(structures, Trouble(), ledger, Dask(workers=2), progress=False)
    reasons = [found.reason if isinstance(found, Failure) else "" for found in results]
    assert reasons == ["", "set aside", "", "", ""]
    assert not list(tmp_path.glob("*-landing"))


def test_threads_of_workers_are_bounded(ledger):
    assert Pool(threads=2).workers == max(1, (os.cpu_count() or 1) // 2)
    with pytest.raises(InputError, match="at least one worker"):
        Pool(0)


def start(folder: Path, executor: str, labels: int = 60) -> subprocess.Popen[bytes]:
    """A client of the kills benchmark, labelling into a folder's ledger."""
    options = ["--client", str(folder), "--executor", executor, "--labels", str(labels)]
    return subprocess.Popen([sys.executable, str(KILLS), *options, "--seconds", "0.02"])


def kept(folder: Path) -> set[str]:
    with Ledger(folder / "ledger.db", write=False) as ledger:
        return {row.structure.key for row in ledger.rows()}


@pytest.mark.parametrize("executors", [("local", "local"), ("pool", "local")])
def test_two_clients_on_one_ledger_pay_once(tmp_path, executors):
    clients = [start(tmp_path, executor) for executor in executors]
    assert [client.wait(120) for client in clients] == [0, 0]
    begun, ended = runs(tmp_path / "runs")
    assert set(begun.values()) == set(ended.values()) == {1}
    assert len(kept(tmp_path)) == 60


@pytest.mark.parametrize("executor", ["local", "pool"])
def test_ctrl_c_keeps_everything_that_ended(tmp_path, executor):
    client = start(tmp_path, executor, labels=400)
    while len(runs(tmp_path / "runs").ended) < 5:
        time.sleep(0.02)
    client.send_signal(signal.SIGINT)
    assert client.wait(60) != 0
    ended = set(runs(tmp_path / "runs").ended)
    assert 5 <= len(ended) < 400
    assert kept(tmp_path) == ended


def test_workers_end_with_their_client(tmp_path):
    client = start(tmp_path, "pool", labels=4000)
    while len(runs(tmp_path / "runs").ended) < 5:
        time.sleep(0.02)
    client.kill()
    client.wait()
    time.sleep(1.0)
    before = len(runs(tmp_path / "runs").begun)
    time.sleep(1.0)
    assert len(runs(tmp_path / "runs").begun) == before


def kills(executor: str, number: int, labels: int) -> dict[str, object]:
    options = ["--executor", executor, "--kills", str(number), "--labels", str(labels)]
    command = [sys.executable, str(KILLS), *options, "--failures", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_killed_runs_end_like_calm_ones():
    report = kills("pool", 3, 100)
    assert report["ledgers equal"]
    assert report["of them begun again"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "pool", "dask"])
def test_twenty_kills(executor):
    report = kills(executor, 20, 600)
    assert report["client"] + report["worker"] == 20
    assert report["ledgers equal"]
    assert report["of them begun again"] == 0
    assert report["failures"] > 100


def test_every_engine_travels(ledger):
    for name in ("gfn2", "analytic", "ase:ase.calculators.emt:EMT"):
        engine: Labeler = labeler(name)
        near = [water().replace(positions=water().positions + np.array([0, 0, 0.1]))]
        (here,) = [engine.label(structure) for structure in near]
        (there,) = label_all(near, engine, ledger, Pool(1), progress=False)
        assert there.energy == here.energy
