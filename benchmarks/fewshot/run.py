"""Error against K on the held-out families, for every method; run again, it goes on.

    python benchmarks/fewshot/run.py [--seeds 5] [--families uracil …]

Reads a start, and the held-out configurations, which it draws and labels first if need be. Writes
one file per job into ``results/``, then ``results.md`` and ``results.png``. Support and test frames
are from independent trajectories.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE / "bio-small.yaml"
SHOTS = (5, 10, 20, 50)
TEST = 40


def main() -> None:
    """Run every job that has no result yet, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--start", default="bio-small")
    parser.add_argument("--families", nargs="*", default=None)
    parser.add_argument("--only", choices=["closed", "gradient", "scratch"], default=None)
    options = parser.parse_args()

    from study import closed_form, held_out_frames
    from study_gradient import gradient_based
    from table import write_tables

    from kshot.core.cache import use_compile_cache
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    use_compile_cache()
    start = load(start_path(options.start))
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    families = held_out_frames(CONFIG)
    wanted = options.families or list(families)
    jobs = {"closed": closed_form, "gradient": gradient_based}
    for kind, job in jobs.items():
        if options.only not in (None, kind):
            continue
        for name in wanted:
            path = folder / f"{kind}-{name}.json"
            if path.exists() and json.loads(path.read_text())["digest"] == start.digest:
                continue
            begun = time.perf_counter()
            found = job(start, families[name], range(options.seeds), SHOTS, TEST)
            record = {"family": name, "digest": start.digest, "rows": found}
            record["seconds"] = time.perf_counter() - begun
            partial = path.with_suffix(".tmp")
            partial.write_text(json.dumps(record) + "\n")
            partial.replace(path)
            print(f"{kind} {name}: {record['seconds']:.0f} s", flush=True)
            write_tables(folder, HERE, start.digest)
    write_tables(folder, HERE, start.digest)
    print((HERE / "results.md").read_text())


if __name__ == "__main__":
    main()
