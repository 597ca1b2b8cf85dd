"""Error against K on the held-out families, for every method; run again, it goes on.

    python benchmarks/fewshot/run.py [--seeds 5] [--families uracil …] [--only closed]

Reads a start, and the held-out configurations, which it draws and labels first if need be. Writes
one file per job into ``results/``, then ``results.md`` and ``results.png``. The closed-form methods
are those of `kshot eval`; the ones that move by gradient steps are in ``gradient.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE / "bio-small.yaml"


def main() -> None:
    """Run every job that has no result yet, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--start", default="bio-small")
    parser.add_argument("--families", nargs="*", default=None)
    parser.add_argument("--only", choices=["closed", "gradient"], default=None)
    options = parser.parse_args()

    from gradient import gradient_based

    from kshot.core.cache import use_compile_cache
    from kshot.pipeline.config import StudyConfig
    from kshot.pipeline.study import closed_form, load_study, run_study
    from kshot.pipeline.study_table import write_tables

    use_compile_cache()
    start, families, setting = load_study(StudyConfig(start=options.start, training=CONFIG))
    setting = setting._replace(seeds=tuple(range(options.seeds)))
    jobs = {"closed": closed_form, "gradient": gradient_based}
    if options.only:
        jobs = {options.only: jobs[options.only]}

    def say(line: str) -> None:
        print(line, flush=True)
        write_tables(HERE / "results", HERE, start.digest)

    wanted = {name: families[name] for name in options.families or families}
    run_study(start, wanted, setting, HERE / "results", jobs, say)
    say((HERE / "results.md").read_text())


if __name__ == "__main__":
    main()
