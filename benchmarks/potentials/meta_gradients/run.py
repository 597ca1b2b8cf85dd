"""Time and peak memory of meta-gradients, each contestant in a process of its own, in turn."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import report
import sizes

HERE = Path(__file__).parent
ONE_THREAD = {
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
}
BLOCK_SECONDS = 1.0  # of CPU


class Contestant:
    def __init__(self, python: str, worker: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [python, "-W", "ignore", str(HERE / worker), *arguments],
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.told = self.answer()
        self.rounds: list[dict[str, float]] = []
        self.calls = 1

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            return {"missing": f"stopped with exit status {self.process.wait()}"}
        return json.loads(line)

    def ask(self, calls: int) -> dict[str, float]:
        assert self.process.stdin
        self.process.stdin.write(f"{calls}\n")
        self.process.stdin.flush()
        found = self.answer()
        return {key: value / calls for key, value in found.items()}

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def summary(self) -> dict[str, Any]:
        if not self.rounds:
            return self.told
        medians = {
            f"{key}_s": statistics.median(one[key] for one in self.rounds)
            for key in ("cpu", "wall")
        }
        return self.told | medians | {"rounds": self.rounds}


def contestants(
    name: str, molecule: str, steps: int, options: argparse.Namespace
) -> dict[str, Contestant]:
    ways = {
        ("kshot", way): (sys.executable, "kshot_worker.py")
        for way in sizes.KSHOT
        if way != "training" or steps == options.inner_steps[0]
    }
    if name.startswith("mace"):
        ways |= {
            ("torch", way): (options.torch, "torch_worker.py")
            for way in sizes.TORCH
            if way != "training" or steps == options.inner_steps[0]
        }
    found = {}
    for (side, way), command in ways.items():
        found[f"{side}: {way}"] = one = Contestant(*command, name, molecule, way, str(steps))
        print(f"  {side}: {way}: {one.told}", flush=True)
    return found


def race(found: dict[str, Contestant], rounds: int) -> None:
    able = [one for one in found.values() if "missing" not in one.told]
    for one in able:
        one.calls = max(1, round(BLOCK_SECONDS / one.ask(1)["cpu"]))
    for number in range(rounds):
        for one in able:
            one.rounds.append(one.ask(one.calls))
        print(f"  round {number + 1} of {rounds}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", required=True, help="the Python that has mace-torch")
    parser.add_argument("--groups", nargs="+", choices=list(sizes.GROUPS), default=None)
    parser.add_argument("--inner-steps", nargs="+", type=int, default=[5, 1, 10])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    results = HERE / "results" / "results.json"
    results.parent.mkdir(exist_ok=True)
    kept = json.loads(results.read_text()) if results.exists() else {"groups": {}}
    for group in options.groups or sizes.GROUPS:
        name, molecule = sizes.GROUPS[group]
        if name.startswith("mace"):
            worker = str(HERE / "torch_worker.py")
            subprocess.run([options.torch, "-W", "ignore", worker, "export", name], check=True)
        for steps in options.inner_steps:
            print(f"{group}, k = {steps}", flush=True)
            found = contestants(name, molecule, steps, options)
            try:
                race(found, options.rounds)
            finally:
                for one in found.values():
                    one.stop()
            kept["groups"].setdefault(group, {})[str(steps)] = {
                "load": os.getloadavg()[0],
                "rows": {key: one.summary() for key, one in found.items()},
            }
            kept["machine"] = {"processor": report.processor(), "cpus": os.cpu_count()}
            kept["python"] = platform.python_version()
            results.write_text(json.dumps(kept, indent=1) + "\n")
            (HERE / "results" / "results.md").write_text(report.text(kept))


if __name__ == "__main__":
    main()
