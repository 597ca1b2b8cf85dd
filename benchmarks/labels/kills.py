"""Kill -9 the client and the workers at random moments while they label; then count.

    python benchmarks/labels/kills.py --executor pool --kills 20 --failures 0.3

Shows: the ledger ends up as that of an undisturbed run, and no label that was in the ledger at the
moment of a kill is ever run again. The runs are counted in a log that the engine itself writes.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kshot.atoms import Labels, Structure
from kshot.labelers import Ledger, label_all, labeler
from kshot.labelers.examples import water
from kshot.labelers.executors import Dask, Executor, Local, Pool
from kshot.labelers.logged import Logged, runs

WORKERS = 2


def structures(number: int) -> list[Structure]:
    rng, start = np.random.default_rng(0), water()
    return [
        start.replace(positions=start.positions + rng.normal(scale=0.03, size=(3, 3)))
        for _ in range(number)
    ]


def client(args: argparse.Namespace, folder: Path) -> None:
    """Label everything: what gets killed."""
    places: dict[str, Executor] = {
        "local": Local(),
        "pool": Pool(WORKERS, attempts=10),
        "dask": Dask(workers=WORKERS),
    }
    engine = labeler("analytic", failures=args.failures, seconds=args.seconds)
    logged = Logged(engine, folder / "runs")
    with Ledger(folder / "ledger.db") as ledger:
        label_all(structures(args.labels), logged, ledger, places[args.executor], progress=False)


def start(args: argparse.Namespace, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--client", str(folder)]
    for name in ("executor", "failures", "seconds", "labels"):
        command += [f"--{name}", str(getattr(args, name))]
    return subprocess.Popen(command)


def contents(path: Path) -> dict[str, object]:
    """What a ledger says, bit by bit."""
    if not path.exists():
        return {}
    found = {}
    with Ledger(path, write=False) as ledger:
        for row in ledger.rows():
            said = row.result
            is_good = isinstance(said, Labels)
            found[row.structure.key] = (said.energy, said.forces.tobytes()) if is_good else said
    return found


def workers_of(pid: int) -> list[int]:
    """The children of a process."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def wait_for_progress(folder: Path, process: subprocess.Popen[bytes]) -> None:
    before = len(runs(folder / "runs").begun)
    while process.poll() is None and len(runs(folder / "runs").begun) == before:
        time.sleep(0.02)


def torment(args: argparse.Namespace, folder: Path) -> dict[str, int]:
    """Kill and resume; then finish undisturbed."""
    chance = random.Random(args.seed)
    killed = {"client": 0, "worker": 0}
    kept: dict[str, int] = {}  # of every label once in the ledger: how often it had been begun
    process = start(args, folder)
    stretch = 1.5 * args.labels * args.seconds / WORKERS / args.kills
    while sum(killed.values()) < args.kills:
        wait_for_progress(folder, process)
        time.sleep(chance.uniform(0, stretch))
        if process.poll() is not None:
            break
        victims = workers_of(process.pid) if killed["worker"] <= killed["client"] else []
        victim = chance.choice(victims) if victims else process.pid
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed["client" if victim == process.pid else "worker"] += 1
        if victim == process.pid:
            process.wait()
        done = contents(folder / "ledger.db")
        counts = runs(folder / "runs").begun
        kept = {key: counts[key] for key in done} | kept
        if process.poll() is not None:
            process = start(args, folder)
    if process.wait() != 0:
        raise SystemExit("the client failed")
    begun, ended = runs(folder / "runs")
    return killed | {
        "labels": len(begun),
        "already kept at some kill": len(kept),
        "of them begun again": sum(begun[key] > count for key, count in kept.items()),
        "runs begun": sum(begun.values()),
        "runs ended": sum(ended.values()),
        "ended more than once": sum(count > 1 for count in ended.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", choices=("local", "pool", "dask"), default="pool")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--labels", type=int, default=600)
    parser.add_argument("--failures", type=float, default=0.3)
    parser.add_argument("--seconds", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--client", type=Path, help="be the client, in this folder")
    args = parser.parse_args()
    if args.client:
        client(args, args.client)
        return
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / which for which in ("killed", "calm")]
        for folder in folders:
            folder.mkdir()
        report: dict[str, object] = dict(torment(args, folders[0]))
        if start(args, folders[1]).wait() != 0:
            raise SystemExit("the undisturbed client failed")
        killed, calm = (contents(folder / "ledger.db") for folder in folders)
        report["ledgers equal"] = killed == calm and len(calm) == args.labels
        report["failures"] = sum(not isinstance(said, tuple) for said in calm.values())
    print(json.dumps(report, indent=1))
    extra = report["runs begun"] - args.labels
    sound = report["ledgers equal"] and report["of them begun again"] == 0
    most = report["client"] * 2 * WORKERS + report["worker"] * 2
    if not (sound and extra <= most):
        raise SystemExit("not what was promised")


if __name__ == "__main__":
    main()
