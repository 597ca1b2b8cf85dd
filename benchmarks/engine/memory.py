"""Peak memory and time of one meta-gradient by every strategy, each in a fresh process."""

import argparse
import json
import subprocess
import sys
from typing import Any

import machine
import report
from meta_gradients import MEASURED

REFERENCE = "jax_unrolled"
NOT_EXACT = {"jax_first_order", "kshot_first_order"}
TOLERANCE = 1e-3  # of the gradient's norm, float32


def measure(name: str, inner_steps: int, threads: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "memory_worker.py", name, str(inner_steps), threads],
        check=False,  # a contestant that stops is a line in the table
        env=machine.environment(threads),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        return {"missing": f"stopped with exit status {done.returncode}"}
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(MEASURED), metavar="NAME")
    parser.add_argument("--inner-steps", nargs="+", type=int, default=[1, 5, 10, 20])
    parser.add_argument("--threads", choices=["single", "default"], default="single")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()

    # The reference first: the others are compared with it as they come.
    names = [REFERENCE, *(n for n in options.only or MEASURED if n != REFERENCE)]
    rows: dict[str, dict[str, Any]] = {name: {} for name in names}
    for k in options.inner_steps:
        for name in names:
            row = rows[name][str(k)] = measure(name, k, options.threads)
            if "missing" in row:
                print(f"k = {k:2d}  {name:22s} missing: {row['missing']}", flush=True)
                continue
            exact = rows[REFERENCE][str(k)]["norm"]
            row["agrees"] = name in NOT_EXACT or abs(row["norm"] - exact) <= TOLERANCE * exact
            print(
                f"k = {k:2d}  {name:22s} peak {row['peak']:6.1f} MiB, repeated"
                f" {row['peak_repeated']:6.1f}, {row['cpu_seconds'] * 1e3:7.1f} ms of CPU"
                f"{'' if row['agrees'] else '  GRADIENT DIFFERS'}",
                flush=True,
            )
    results = {
        "command": "python " + " ".join(sys.argv),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "threads": options.threads,
        "rows": rows,
    }
    if not options.no_save:
        meanings = {name: meaning for name, (_, _, meaning) in MEASURED.items()}
        report.save("memory", results, report.memory(results, meanings))


if __name__ == "__main__":
    main()
