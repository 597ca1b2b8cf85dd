"""Kill -9 at random moments, resume, and compare with a run that was never interrupted.

    python benchmarks/crash/run.py [--kills 20] [--seed 0]

Every other kill is aimed at a checkpoint while it is being written; the others fall anywhere, the
start of the process included. A run is killed five times, then left to finish. It passes if the
bytes of its parameters, optimiser state and metrics file equal those of the uninterrupted run.
Where no kill has met a write, which takes milliseconds, more follow: three times as many at most.
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
from dataclasses import dataclass
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
KILLS_PER_RUN = 5
UNFINISHED = "*orbax-checkpoint-tmp*"


@dataclass
class Kill:
    aim: str
    after: float
    resumed_from: int
    last_whole: int
    torn: bool

    def __str__(self) -> str:
        inside = "yes" if self.torn else "no"
        steps = f"{self.resumed_from:12}  {self.last_whole:11}"
        return f"{self.aim:<6}  {self.after:10.2f} s  {steps}  {inside}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)

    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        want = finish(start(Path(scratch) / "whole"))
        whole = time.monotonic() - began
        print(f"never interrupted: {whole:.1f} s, sha256 {want[:16]}")
        print("kill  aim     killed after  resumed from  whole up to  inside a write")
        done, failed, torn, asked = 0, 0, 0, args.kills
        while done < asked:
            directory = Path(scratch) / f"run{done}"
            for number in range(done + 1, min(done + KILLS_PER_RUN, asked) + 1):
                hit = kill_once(directory, "write" if number % 2 else "any", whole, rng)
                torn, done = torn + hit.torn, number
                print(f"{number:4}  {hit}", flush=True)
            got = finish(start(directory))
            failed += got != want
            verdict = "same" if got == want else "DIFFERENT"
            print(f"      resumed to the end: sha256 {got[:16]}, {verdict}", flush=True)
            if done == asked and not torn and asked < 3 * args.kills:
                asked += 1
    print(f"{done} kills, {torn} inside a checkpoint write, {failed} runs with other bytes")
    return 1 if failed or not torn else 0


def start(directory: Path) -> subprocess.Popen:
    directory.mkdir(exist_ok=True)
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen([sys.executable, WORKER, directory], stdout=subprocess.PIPE, env=env)


def finish(process: subprocess.Popen) -> str:
    told, _ = process.communicate(timeout=600)
    if process.returncode:
        raise SystemExit(f"a run failed with exit status {process.returncode}")
    return told.decode().strip()


def kill_once(directory: Path, aim: str, whole: float, rng: random.Random) -> Kill:
    """Start or resume the run and kill it."""
    checkpoints = directory / "checkpoints"
    resumed_from, left_over = last_whole(checkpoints), unfinished(checkpoints)
    process = start(directory)
    began = time.monotonic()
    if aim == "any":
        wait(process, rng.uniform(0.0, whole))
    else:
        # past some whole checkpoints of this process, then inside a write.
        target = resumed_from + 10 * rng.randint(1, 5)
        while process.poll() is None:
            if last_whole(checkpoints) >= target and unfinished(checkpoints) - left_over:
                break
            time.sleep(0.0005)
        wait(process, rng.uniform(0.0, 0.08))
    process.send_signal(signal.SIGKILL)
    after = time.monotonic() - began
    process.communicate()
    torn = bool(unfinished(checkpoints) - left_over)
    return Kill(aim, after, resumed_from, last_whole(checkpoints), torn)


def wait(process: subprocess.Popen, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def last_whole(checkpoints: Path) -> int:
    if not checkpoints.is_dir():
        return 0
    return max((int(p.name) for p in checkpoints.iterdir() if p.name.isdigit()), default=0)


def unfinished(checkpoints: Path) -> set[str]:
    return {path.name for path in checkpoints.glob(UNFINISHED)}


if __name__ == "__main__":
    sys.exit(main())
