"""Few-shot digits with held-out classes, and with imbalanced supports: one command.

    python benchmarks/digits/run.py [--seeds 3] [--steps 1000] [--workers 2] [--methods …]

Each (method, shots, seed) is one job; finished jobs are kept in ``results/`` and never run again,
so a killed run goes on where it was. ``results.md`` is written anew after each of them.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).parent


def run_one(job: tuple) -> float:
    """Run one job; return how many CPU seconds it took."""
    from jobs import Job

    Job(*job).run()
    return time.process_time()


def main() -> None:
    """Run all jobs that have no result yet, and write the tables after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000, help="outer steps")
    parser.add_argument("--methods", nargs="*", help="only these", metavar="NAME")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    # one thread per job: XLA CPU takes its thread count from here, and only before it starts.
    os.environ["NPROC"] = "1"
    # what is compiled once is kept: the second seed takes half the time.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(HERE.parent.parent / ".cache" / "jax"))
    from jobs import all_jobs
    from table import write

    jobs = all_jobs(options.seeds, options.steps)
    wanted = options.methods or {job.method for job in jobs}
    todo = [job for job in jobs if job.method in wanted and not job.path.exists()]
    print(f"{len(todo)} of {len(jobs)} jobs to run", flush=True)
    with ProcessPoolExecutor(options.workers, max_tasks_per_child=1) as pool:
        waiting = {pool.submit(run_one, tuple(job)): job for job in todo}
        for done, future in enumerate(as_completed(waiting), start=1):
            job, seconds = waiting[future], future.result()
            told = f"{job.method}, K={job.shots}, seed {job.seed}: {seconds:.0f} CPU s"
            print(f"[{done}/{len(todo)}] {told}", flush=True)
            write(jobs)
    write(jobs)
    print((HERE / "results.md").read_text())


if __name__ == "__main__":
    main()
