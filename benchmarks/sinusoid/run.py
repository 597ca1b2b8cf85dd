"""Few-shot sinusoids: every algorithm, several seeds, one command.

    python benchmarks/sinusoid/run.py [--seeds 3] [--workers 2] [--scale 1.0] [--only maml ...]

Each (algorithm, K, seed) is one job; finished jobs are kept in ``results/`` and never run again, so
a killed run goes on where it was. ``table.py`` draws the table and the picture from them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import table
from setting import (
    DIVERGED,
    EVAL_STEPS,
    META_BATCH,
    QUERY,
    RESULTS,
    SHOTS,
    TEST_TASKS,
    VALIDATION_TASKS,
)

from kshot.core.whole import whole


def job(name: str, shots: int, seed: int, scale: float) -> dict:
    """Train one algorithm, pick its variant on validation tasks, measure it on the test tasks."""
    import jax
    from contestants import CONTESTANTS

    from kshot import meta
    from kshot.meta import problems
    from kshot.meta.train import train

    contestant = CONTESTANTS[name]
    steps = int(contestant.steps * scale)
    algorithm = contestant.make(max(steps, 1))
    began = time.process_time()
    state = algorithm.init(contestant.init(jax.random.key(seed)), key=seed)
    if steps:

        def stream(key: jax.Array) -> meta.Task:
            return problems.sinusoids(key, META_BATCH, shots, 10)

        state = train(algorithm, state, stream, steps, seed=seed, progress="none").state
    spent = time.process_time() - began
    # a state carries its own rule: each variant starts from the trained parameters with its own.
    tried = contestant.variants() if contestant.variants else {}
    variants = {n: (a, a.init(state.params)) for n, a in tried.items()} or {"": (algorithm, state)}
    # the same test tasks for every algorithm and seed; validation tasks are others.
    validation = problems.sinusoids(jax.random.key(1), VALIDATION_TASKS, shots, QUERY)
    chosen = pick(variants, validation)
    test = problems.sinusoids(jax.random.key(2), TEST_TASKS, shots, QUERY)
    record = {"algorithm": name, "shots": shots, "seed": seed, "outer_steps": steps}
    record |= {"cpu_seconds": spent, "steps": measure(variants, chosen, test)}
    return record | {"validation": validated(variants, chosen, validation)}


def errors(algorithm: object, state: object, tasks: object) -> object:
    """Return query errors of every task after 0 … 10 steps: an array (tasks, 11)."""
    import jax
    import numpy as np

    most = max(EVAL_STEPS)
    one = lambda task: algorithm.losses(state, task, most)  # noqa: E731
    return np.asarray(jax.jit(lambda t: jax.lax.map(one, t, batch_size=100))(tasks))


def pick(variants: dict, tasks: object) -> dict[int, str]:
    """Return, for each number of steps, the variant with the least validation error."""
    import numpy as np

    if len(variants) == 1:
        return dict.fromkeys(EVAL_STEPS, next(iter(variants)))
    means = {name: errors(*each, tasks).mean(0) for name, each in variants.items()}
    return {s: min(means, key=lambda n: np.nan_to_num(means[n][s], nan=np.inf)) for s in EVAL_STEPS}


def measure(variants: dict, chosen: dict[int, str], tasks: object) -> dict:
    """Return, per number of steps, the mean test error, its 95 % half-width, and divergence."""
    import numpy as np

    seen = {name: errors(*variants[name], tasks) for name in set(chosen.values())}
    out = {}
    for steps, name in chosen.items():
        column = seen[name][:, steps].astype(float)
        # sinusoids have a variance of about 4: a thousand is not an error but a divergence.
        finite = column < DIVERGED
        out[steps] = {
            "mse": float(column[finite].mean()),
            "half_width": float(1.96 * column[finite].std() / np.sqrt(finite.sum())),
            "diverged": int((~finite).sum()),
            "variant": name,
        }
    return out


def validated(variants: dict, chosen: dict[int, str], tasks: object) -> dict[int, float]:
    """Return, per number of steps, the mean validation error: what settings are chosen by."""
    import numpy as np

    means = {name: errors(*variants[name], tasks).mean(0) for name in set(chosen.values())}
    return {
        steps: float(np.nan_to_num(means[name][steps], nan=np.inf))
        for steps, name in chosen.items()
    }


def path_of(name: str, shots: int, seed: int) -> Path:
    """Return the file of one job's result."""
    plain = name.replace(",", "").replace(" ", "-").replace("=", "").replace("+", "and")
    return RESULTS / f"{plain}_K{shots}_seed{seed}.json"


def run_one(name: str, shots: int, seed: int, scale: float) -> str:
    """Run one job unless it is done; keep its result atomically."""
    path = path_of(name, shots, seed)
    record = job(name, shots, seed, scale)
    with whole(path) as part:
        part.write_text(json.dumps(record, indent=1) + "\n")
    told = ", ".join(f"{s}: {r['mse']:.3f}" for s, r in record["steps"].items())
    return f"{name}, K={shots}, seed {seed}: {told} ({record['cpu_seconds']:.0f} CPU s)"


def main() -> None:
    """Run all jobs that have no result yet, then write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all training lengths")
    parser.add_argument("--only", nargs="*", help="algorithms whose name starts so")
    args = parser.parse_args()
    # one thread per job: XLA CPU takes its thread count from here, and only before it starts.
    os.environ["NPROC"] = "1"
    from contestants import CONTESTANTS

    names = [n for n in CONTESTANTS if not args.only or n.startswith(tuple(args.only))]
    jobs = list(itertools.product(range(args.seeds), SHOTS, names))
    todo = [(n, k, s) for s, k, n in jobs if not path_of(n, k, s).exists()]
    print(f"{len(todo)} of {len(jobs)} jobs to run", flush=True)
    with ProcessPoolExecutor(args.workers, max_tasks_per_child=1) as pool:
        futures = [pool.submit(run_one, *each, args.scale) for each in todo]
        for done, future in enumerate(as_completed(futures), start=1):
            print(f"[{done}/{len(todo)}] {future.result()}", flush=True)
    table.main()


if __name__ == "__main__":
    main()
