"""Few-shot digits with held-out classes, and with imbalanced supports: one command.

    python benchmarks/digits/run.py [--seeds 3] [--steps 1000] [--workers 2]

Writes ``results.json`` and ``results.md`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
SHOTS = (1, 5)


def main() -> None:
    """Run every job, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000, help="outer steps")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    began = time.monotonic()
    seeds = list(range(options.seeds))
    # what is compiled once is kept: the second run takes half the time.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(HERE.parent.parent / ".cache" / "jax"))
    with ProcessPoolExecutor(options.workers) as pool:
        uneven = pool.submit(imbalanced, seeds, options.steps)
        even = [pool.submit(classification, k, seeds, options.steps) for k in SHOTS]
        results = {
            "options": {"seeds": options.seeds, "steps": options.steps},
            "classification": {str(k): job.result() for k, job in zip(SHOTS, even, strict=True)},
            "imbalance": uneven.result(),
        }
    results["seconds"] = time.monotonic() - began
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    from table import tables

    (HERE / "results.md").write_text(tables(results))
    print(tables(results))


def classification(shots: int, seeds: list[int], steps: int) -> dict:
    """Return, per method, one record per seed at 3-way K-shot."""
    import baselines
    import jax
    from episodes import Shape, split
    from learners import judge, learners, scratch, train, validation_and_test

    from kshot.meta import evaluate

    shape = Shape((shots,) * baselines.WAY)
    contestants = learners(steps)
    curves: dict[str, list] = {name: [] for name in contestants}
    chosen: dict[str, list] = {name: [] for name in contestants}
    plain: dict[str, list] = {}
    for seed in seeds:
        digits = split(seed)
        validation, test = validation_and_test(digits, shape)
        for name, algorithm in contestants.items():
            state = train(algorithm, digits, shape, steps, seed)
            curve, taken = judge(algorithm, state, validation, test)
            curves[name].append(curve)
            chosen[name].append(f"{taken} steps")
            print(f"K={shots} seed {seed} {name}: {1 - curve.mean[-1]:.3f}", flush=True)
            if name == "MAML, transductive":
                errors = baselines.centroid_errors(test, baselines.learned(state.params))
                plain.setdefault("centroid of MAML's features", []).append(errors.mean())
        curve, taken = scratch(validation, test, shape.way, seed)
        curves.setdefault("from scratch", []).append(curve)
        chosen.setdefault("from scratch", []).append(taken)
        errors = baselines.centroid_errors(test, baselines.pixels)
        plain.setdefault("centroid of pixels", []).append(errors.mean())
        wrong, strength = baselines.tuned_logistic(validation, test)
        plain.setdefault("logistic regression", []).append(wrong.mean())
        chosen.setdefault("logistic regression", []).append(f"C = {strength:g}")
        jax.block_until_ready(curve.mean)
    records = {name: json.loads(evaluate.over_seeds(c).to_json()) for name, c in curves.items()}
    accuracy = {
        name: [1 - float(curve.mean[-1]) for curve in found] for name, found in curves.items()
    }
    accuracy |= {name: [1 - float(error) for error in errors] for name, errors in plain.items()}
    lost = {name: int(sum(c.diverged_tasks[-1] for c in found)) for name, found in curves.items()}
    held_out = [split(seed).test_digits for seed in seeds]
    return {
        "accuracy": accuracy,
        "diverged": lost,
        "chosen": chosen,
        "held_out": held_out,
        "records": records,
    }


def imbalanced(seeds: list[int], steps: int) -> list[dict]:
    """Return the imbalance experiment of every seed."""
    from imbalance import one_seed

    return [one_seed(seed, steps) for seed in seeds]


if __name__ == "__main__":
    main()
