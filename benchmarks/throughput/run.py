"""Training structures and molecular-dynamics steps per second: kshot's MACE beside mace-torch's.

    python benchmarks/throughput/run.py                      # this Python has both
    python benchmarks/throughput/run.py --torch PYTHON       # of an environment with mace-torch
    python benchmarks/throughput/run.py --sizes "16 channels" --batches 8 --device cpu

Each contestant is a process of its own for each size, and they take turns. Writes
``results/DEVICE.json`` and ``results.md``. A measurement that fails, or for which no time is left,
is in the tables with its reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import problem
import sizes
import tables

HERE = Path(__file__).parent
CONTESTANTS = {
    "mace-torch": ("torch_side.py",),  # first, since it draws the weights
    "kshot": ("kshot_side.py",),
    "mace-torch + cuEquivariance": ("torch_side.py", "--cueq"),
}
COMPILES = 2.0  # times as much time as the others: for kshot, which compiles
PACKAGES = (
    "jax", "mlip", "e3j", "torch", "mace-torch", "e3nn",
    "cuequivariance", "cuequivariance-torch", "cuequivariance-ops-torch-cu13",
)  # fmt: skip
ASK = "import sys, json, importlib.metadata as m; print(json.dumps({d.name.lower(): d.version for "
ASK += "d in m.distributions() if d.name}))"


def main() -> None:
    """Measure, and write after each process what there is."""
    options = parsed()
    begun = time.monotonic()
    jobs = [(size, name) for size in options.sizes for name in options.contestants]
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        problem.write(folder / "problem.npz", options.batches, options.seed)
        say(f"{time.monotonic() - begun:.0f} s: problem written")
        for place, (size, contestant) in enumerate(jobs):
            left = options.limit - (time.monotonic() - begun)
            share = left * part_of([contestant for _, contestant in jobs[place:]])
            say(f"{time.monotonic() - begun:.0f} s: {contestant}, {size}, {share:.0f} s at most")
            rows += [
                {"contestant": contestant} | row
                for row in measured(options, folder, size, contestant, share)
            ]
            write(options, rows, time.monotonic() - begun)
    say(f"{time.monotonic() - begun:.0f} s: {options.out / 'results.md'}")


def part_of(waiting: list[str]) -> float:
    """Return what part of the time left the first of those waiting may take.

    Half as much again as its share: what it does not take, the others may. The last takes all.
    """
    weights = [COMPILES if contestant == "kshot" else 1.0 for contestant in waiting]
    return 1.5 * weights[0] / (sum(weights) + 0.5 * weights[0])


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default=sys.executable, help="Python that has mace-torch")
    parser.add_argument("--sizes", nargs="+", choices=sizes.SIZES, default=list(sizes.SIZES))
    parser.add_argument("--batches", nargs="*", type=int, default=list(sizes.BATCHES))
    parser.add_argument(
        "--molecules", nargs="*", choices=sizes.MOLECULES, default=list(sizes.MOLECULES)
    )
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--md-sizes", nargs="*", choices=sizes.SIZES, default=list(sizes.SIZES))
    parser.add_argument("--own-weights", action="store_true", help="kshot imports none: faster")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds of all together")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--threads", type=int, help="on a CPU; all cores if not given")
    parser.add_argument("--tf32", action="store_true", help="matrix products in TF32, both sides")
    parser.add_argument("--seed", type=int, default=0, help="of the batches")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results.md and results/")
    options = parser.parse_args()
    options.batches.sort()
    return options


def measured(
    options: argparse.Namespace, folder: Path, size: str, contestant: str, share: float
) -> list[dict]:
    """Return the rows of one process, those that it did not come to among them."""
    log = folder / "log"
    rows: list[dict] = []
    with log.open("w") as errors:
        process = subprocess.Popen(
            command(options, folder, size, contestant, share),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(options.device, options.threads),
        )
        late = threading.Event()
        timer = threading.Timer(max(share, 1.0), lambda: (late.set(), process.kill()))
        timer.start()
        try:
            for line in process.stdout:
                if line.startswith('{"what"'):
                    rows.append(json.loads(line))
                    say("    " + tables.brief(rows[-1]))
            process.wait()
        finally:
            timer.cancel()
            process.kill()
    why = "no time left" if late.is_set() else last_words(log)
    have = {tables.key(row) for row in rows}
    lacking = [row for row in expected(options, size, contestant) if tables.key(row) not in have]
    if lacking:
        say(f"    {len(lacking)} missing: {why}")
    return rows + [row | {"missing": why} for row in lacking]


def command(
    options: argparse.Namespace, folder: Path, size: str, contestant: str, share: float
) -> list[str]:
    """Return the command of one process."""
    script, *more = CONTESTANTS[contestant]
    python = sys.executable if contestant == "kshot" else options.torch
    given = [python, str(HERE / script), str(folder / "problem.npz"), "--size", size, *more]
    given += ["--seconds", str(options.seconds), "--limit", f"{share:.0f}"]
    if not options.own_weights:
        given += ["--weights", str(folder / f"{size.replace(' ', '-')}.npz")]
    given += ["--batches", *map(str, options.batches), "--molecules"]
    given += options.molecules if size in options.md_sizes else []
    return given + (["--tf32"] if options.tf32 else [])


def expected(options: argparse.Namespace, size: str, contestant: str) -> list[dict]:
    """Return what one process is to measure."""
    rows = [{"what": "train", "size": size, "batch": batch} for batch in options.batches]
    for molecule in options.molecules if size in options.md_sizes else []:
        about = {"what": "md", "size": size, "molecule": molecule}
        several = (1, sizes.REPLICAS) if molecule == sizes.MOLECULES[0] else (1,)
        ways = [("scan" if contestant == "kshot" else "bare loop", count) for count in several]
        ways += [] if contestant == "kshot" else [("ASE", 1)]
        rows += [about | {"way": way, "replicas": count} for way, count in ways]
    return rows


def environment(device: str, threads: int | None) -> dict[str, str]:
    """Return the environment of a process; JAX is not to take all memory at once."""
    given = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONUNBUFFERED": "1"}
    if device == "cpu":
        given |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    if threads:
        names = ("NPROC", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        given |= dict.fromkeys(names, str(threads))
    if threads == 1:  # as in benchmarks/engine/machine.py
        flags = os.environ.get("XLA_FLAGS", "")
        given["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return given


def last_words(log: Path) -> str:
    """Return the last line that a process wrote to its standard error."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "the process ended"


def write(options: argparse.Namespace, rows: list[dict], seconds: float) -> None:
    """Write the numbers and the tables."""
    name = tables.device(rows)
    about = {
        "device": name,
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions(options.torch),
        "command": " ".join(["python", *sys.argv]),
        "matrix products": "TF32" if options.tf32 else "float32",
        "seconds": round(seconds),
    }
    folder = options.out / "results"
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"about": about, "rows": rows}
    file = folder / f"{name.replace(' ', '-')}{'-tf32' if options.tf32 else ''}.json"
    file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    every = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    (options.out / "results.md").write_text(tables.page(every), encoding="utf-8")


def versions(python: str) -> dict[str, str]:
    """Return the versions of what is measured: of this Python, and of mace-torch's."""
    asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=False)
    theirs = json.loads(asked.stdout) if asked.returncode == 0 else {}
    held = {}
    for package in PACKAGES:
        try:
            held[package] = theirs.get(package) or version(package)
        except PackageNotFoundError:
            continue
    return held


def processor() -> str:
    """Return the name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "a processor without a name"


def say(line: str) -> None:
    """Print a line at once, also into a file."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
