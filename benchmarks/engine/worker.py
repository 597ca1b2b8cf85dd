"""One contestant in its own process, told what to do by the runner over stdin.

Answers one JSON object per line: first whether it is ready, then, for each line `{"steps": n}`,
the query losses of n more outer steps and the CPU seconds (user + system, all threads) and wall
seconds they took.
"""

import json
import os
import sys
import time
import warnings

import machine


def main(name: str, inner_steps: int, threads: str) -> None:
    # Libraries print to stdout at will; the answers get a channel of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")  # the older libraries warn at every step

    from entries import NotInstalledError, load
    from sinusoid import make_problem

    if threads == "single":
        machine.limit_torch_threads()
    try:
        run = load(name, make_problem(inner_steps))
    except NotInstalledError as reason:
        print(json.dumps({"missing": str(reason)}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)

    for line in sys.stdin:
        steps = json.loads(line)["steps"]
        cpu, wall = time.process_time(), time.perf_counter()
        losses = run(steps)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        answer = {"cpu": cpu, "wall": wall, "losses": losses.astype(float).tolist()}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
