"""Peak memory and time of one meta-gradient, in this fresh process; prints one JSON object."""

import json
import os
import statistics
import sys
import time
import warnings

import machine
import numpy as np
from resident import measure_peak

TIMED_SECONDS = 2.0


def main(name: str, inner_steps: int, threads: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")

    from entries import NotInstalledError
    from meta_gradients import load
    from wide_mlp import make_wide_problem

    if threads == "single" and name in ("torch_func", "higher"):
        machine.limit_torch_threads()
    try:
        # The same code on a tiny problem first: library code pages and thread pools that the first
        # call brings in are not what a meta-gradient needs.
        load(name, make_wide_problem(inner_steps, width=8, points=8)).call()
        gradient = load(name, make_wide_problem(inner_steps))
    except NotInstalledError as reason:
        print(json.dumps({"missing": str(reason)}), file=answers)
        return

    with measure_peak() as first:
        leaves = gradient.call()
    norm = sum(float(np.sum(np.asarray(leaf, np.float64) ** 2)) for leaf in leaves) ** 0.5
    # A caller that keeps the last result while the next one is made: one gradient more.
    with measure_peak() as repeated:
        for _ in range(2):
            leaves = gradient.call()

    cpu = []
    began = time.perf_counter()
    while len(cpu) < 3 or time.perf_counter() - began < TIMED_SECONDS:
        start = time.process_time()
        leaves = gradient.call()
        cpu.append(time.process_time() - start)
    answer = {
        "peak": first.above_entry,
        "peak_repeated": repeated.above_entry,
        "method": first.method,
        "compiler": gradient.compiler_bytes and gradient.compiler_bytes / 2**20,
        "cpu_seconds": statistics.median(cpu),
        "norm": norm,
    }
    print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
