"""Kill -9 `kshot train` and `kshot adapt` at random moments, resume, and compare.

    python benchmarks/fewshot/kills.py [--kills 10] [--only train] [--seed 0] [--quick]

The moments are spread over the whole time of an uninterrupted run, and one kill more in each run is
aimed at its labels while they come. A run is killed so five times at most, with all of its workers,
and then left to finish: by the same command, or every other time by `kshot resume`. It passes if
its model is that of the uninterrupted run bit for bit, if its ledger holds the same labels, each
computed once, if no label that was there at a kill was computed again, and if no process outlives
a kill.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from kshot.atoms import Labels, Structure
from kshot.atoms.files import write
from kshot.core.errors import InputError
from kshot.labelers import Ledger
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_file import load, save

RANDOM = 4  # kills at random moments in one run, after one that is aimed at its labels
PATIENCE = 15.0  # seconds that a worker may take to notice that whom it works for is dead
LONGEST = 1200.0  # seconds of one run, however busy the machine
OUT = "out.kshot"
CONFIG = """
name: killed
families:
  strata: [solvent]
  elements: [H, C, O]
  most_atoms: 6
  validation: [side-chain-ser]
data:
  folder: data
  engine: gfn2
  workers: 1
  draws:
    - {sampler: rattle, temperature: 60, n: 12}
model: {MODEL}
meta: {shots: 5, query: 5}
joint: {steps: 1500, batch: 4, rate: 0.01}
anchors: 4
"""
START, QUICK_START = "bio-small", "start.kshot"
MODEL = "{architecture: mace, size: tiny, cutoff: 3.5, config: {l_max: 1}}"
QUICK_MODEL = "{architecture: morse, cutoff: 3.5}"
METHANOL = Structure(
    np.array([6, 8, 1, 1, 1, 1]),
    np.array(
        [
            [-0.05, 0.66, 0.0],
            [-0.05, -0.76, 0.0],
            [-1.09, 0.98, 0.0],
            [0.44, 1.07, 0.89],
            [0.44, 1.07, -0.89],
            [0.87, -1.06, 0.0],
        ]
    ),
)


class Trial(NamedTuple):
    """A command to kill: what it is, where its labels are, and what else goes on with it."""

    name: str
    words: tuple[str, ...]
    ledger: str
    again: tuple[str, ...] = ()
    begun: str = ""  # the file without which `again` has nothing to go on with
    model: str = MODEL  # that is trained

    def prepare(self, folder: Path) -> Path:
        """Write the input into a new folder, and return the folder."""
        folder.mkdir(parents=True)
        (folder / "train.yaml").write_text(CONFIG.replace("{MODEL}", self.model))
        write(folder / "methanol.extxyz", [METHANOL])
        if QUICK_START in self.words:
            save(untrained(), folder / QUICK_START)
        return folder

    def begin(self, folder: Path, *, other: bool = False) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, so that it can be killed with all its workers."""
        goes_on = other and self.again and (folder / self.begun).exists()
        command = [sys.executable, "-m", "kshot", *(self.again if goes_on else self.words)]
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )


# a run that is killed after its end begins again: --force
TRIALS = {
    "train": Trial(
        "train",
        ("train", "train.yaml", "-o", OUT, "--force"),
        "data/labels.ledger",
        ("resume", OUT, "--force"),
        "out.training/config.yaml",
    ),
    "adapt": Trial(
        "adapt",
        (
            "adapt",
            START,
            "methanol.extxyz",
            "-o",
            OUT,
            "--budget",
            "12",
            "--workers",
            "1",
            "--force",
        ),
        "out.ledger",
    ),
}


def quick(trial: Trial) -> Trial:
    """Return it with next to nothing to compile: the ways of files and processes are the same."""
    words = tuple(QUICK_START if word == START else word for word in trial.words)
    return trial._replace(model=QUICK_MODEL, words=words)


def untrained() -> Model:
    """Return a start that has learned nothing: what can be adapted within seconds."""
    elements = (1, 6, 8)
    potential = potentials.get("morse")(elements)
    e0s = dict.fromkeys(elements, 0.0)
    return Model(potential, potential.init(jax.random.key(0)), e0s, Seen(elements))


class Result(NamedTuple):
    """What a finished run leaves."""

    digest: str
    labels: dict[str, object]
    twice: int

    def differs(self, other: "Result") -> str:
        """Say in what it is not the other; nothing if they are equal."""
        wrong = ["another model"] * (self.digest != other.digest)
        wrong += ["other labels"] * (self.labels != other.labels)
        wrong += [f"{self.twice} labels computed twice"] * (self.twice > 0)
        return ", ".join(wrong)


@dataclass
class Count:
    """What happened so far."""

    kills: int = 0
    aimed: int = 0
    runs: int = 0
    wrong: int = 0
    orphans: int = 0
    again: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=10, help="of each")
    parser.add_argument("--only", choices=tuple(TRIALS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="of compiled programs, filled by earlier runs")
    parser.add_argument("--quick", action="store_true", help="with models that compile at once")
    args = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        # programs compiled by a run that is killed serve the next: that has to be safe as well.
        os.environ["KSHOT_CACHE"] = str((args.cache or Path(scratch) / "cache").resolve())
        for name in [args.only] if args.only else TRIALS:
            where, warm = Path(scratch) / name, args.cache is not None
            trial = quick(TRIALS[name]) if args.quick else TRIALS[name]
            failed |= torment(trial, where, args.kills, args.seed, warm=warm)
    return int(failed)


def torment(trial: Trial, scratch: Path, kills: int, seed: int, *, warm: bool) -> bool:
    """Kill one command so many times; return whether anything was not as it should be."""
    want, whole = calm(trial, scratch / "calm")
    count = Count()
    if not warm:  # the first run compiled
        first, (want, whole) = want, calm(trial, scratch / "warm")
        count.wrong += bool(first.differs(want))
    print(f"{trial.name}, never interrupted: {whole:.1f} s")
    print(f"  model {want.digest[:16]}, {len(want.labels)} labels", flush=True)
    left = moments(kills, whole, seed)
    while left:
        folder = trial.prepare(scratch / f"run{count.runs}")
        count.runs += 1
        kept = killed_run(trial, folder, left, count)
        got = result(folder, trial)
        count.again += sum(made(folder / trial.ledger).get(key) != at for key, at in kept.items())
        words = got.differs(want)
        count.wrong += bool(words)
        print(f"  to its end: model {got.digest[:16]}, {words or 'the same'}", flush=True)
    print(
        f"{trial.name}: {count.kills} kills at random moments, {count.aimed} while labels came, "
        f"{count.runs} runs; {count.wrong} runs differ, {count.again} labels were computed again, "
        f"{count.orphans} processes outlived a kill"
    )
    return bool(count.wrong or count.again or count.orphans or count.kills < kills)


def moments(kills: int, whole: float, seed: int) -> list[float]:
    """Return when to kill: one moment in each of equal parts of a whole run.

    Those of one run are in order: early ones find it young, with little done.
    """
    chance = random.Random(seed)
    found = [(part + chance.random()) * whole / kills for part in range(kills)]
    chance.shuffle(found)
    return [at for n in range(0, kills, RANDOM) for at in sorted(found[n : n + RANDOM])]


def calm(trial: Trial, folder: Path) -> tuple[Result, float]:
    """Run it without any kill."""
    begun = time.monotonic()
    finish(trial.begin(trial.prepare(folder)), folder)
    return result(folder, trial), time.monotonic() - begun


def killed_run(trial: Trial, folder: Path, left: list[float], count: Count) -> dict[str, float]:
    """Kill a run at the next moments, let it end; return when each label at a kill was made.

    A run that ends before its moment comes leaves the moment to the next run, which is younger.
    """
    process = trial.begin(folder)
    wait_for_labels(process, folder / trial.ledger)
    count.aimed += 1
    kept = killed(process, trial, folder, count, "while labels come")
    for number in range(min(RANDOM, len(left))):
        process = trial.begin(folder, other=number % 2 == 0)
        if ended(process, folder, left[0]):
            # it had much behind it; a younger run will live to see that moment
            left[0] *= 0.9 if number == 0 else 1.0
            return kept
        count.kills += 1
        kept = killed(process, trial, folder, count, f"after {left.pop(0):.1f} s") | kept
    finish(trial.begin(folder, other=True), folder)
    return kept


def killed(
    process: subprocess.Popen[bytes], trial: Trial, folder: Path, count: Count, when: str
) -> dict[str, float]:
    """Kill a run, look at what it left, and return when each label was made."""
    count.orphans += kill(process)
    kept, how_far = made(folder / trial.ledger), stage(folder, trial)
    if (folder / OUT).exists():
        load(folder / OUT)  # whole, or not there
    number = f"{count.aimed + count.kills:4}"
    print(f"{number}  killed {when}: {len(kept)} labels in the ledger, {how_far}", flush=True)
    return kept


def wait_for_labels(process: subprocess.Popen[bytes], ledger: Path) -> None:
    """Wait until the first labels are there: small molecules have them all within a second."""
    while process.poll() is None and not made(ledger):
        time.sleep(0.002)


def ended(process: subprocess.Popen[bytes], folder: Path, seconds: float) -> bool:
    """Wait so long; return whether it ended by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        finish(process, folder)
        return True
    return False


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the end, which has to be a good one."""
    if process.wait(LONGEST) != 0:
        raise SystemExit(f"a run failed:\n{(folder / 'log').read_text()[-4000:]}")


def kill(process: subprocess.Popen[bytes]) -> int:
    """Kill a process and its workers; return how many of them live on."""
    family = list(descendants(process.pid))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + PATIENCE
    while (alive := [pid for pid in family if running(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return len(alive)


def descendants(pid: int) -> Iterator[int]:
    """Yield the children of a process, and theirs."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(fields(status)[1]) == pid:
                yield int(status.parent.name)
                yield from descendants(int(status.parent.name))


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return fields(Path(f"/proc/{pid}/stat"))[0] != "Z"
    except OSError:
        return False


def fields(status: Path) -> list[str]:
    """Return what follows the name in a process's status: its state, its parent and more."""
    return status.read_text().rpartition(")")[2].split()


def result(folder: Path, trial: Trial) -> Result:
    """Return what a finished run left."""
    labels: dict[str, object] = {}
    twice = 0
    with Ledger(folder / trial.ledger, write=False) as book:
        for row in book.rows():
            said = row.result
            twice += row.attempts > 1 or row.structure.key in labels
            good = isinstance(said, Labels)
            labels[row.structure.key] = (said.energy, said.forces.tobytes()) if good else said
    return Result(load(folder / OUT).digest, labels, twice)


def made(ledger: Path) -> dict[str, float]:
    """Return when each label in a ledger was made; nothing of one that is not there yet."""
    with contextlib.suppress(InputError), Ledger(ledger, write=False) as book:
        return {row.structure.key: row.made for row in book.rows()}
    return {}


def stage(folder: Path, trial: Trial) -> str:
    """Say how far a killed run had come, by the files it left."""
    if (folder / OUT).exists():
        return "its model written"
    checkpoints = folder / "out.training" / "joint"
    steps = [int(path.name) for path in checkpoints.glob("*") if path.name.isdigit()]
    if steps:
        return f"{max(steps)} steps kept"
    if checkpoints.exists():
        return "before the first checkpoint"
    return "labels there" if (folder / trial.ledger).exists() else "before any label"


if __name__ == "__main__":
    sys.exit(main())
