"""Error against K on the held-out families, for every method; run again, it goes on.

    python benchmarks/fewshot/run.py [--seeds 5] [--families uracil …] [--only closed]

Reads a start, and the held-out configurations, which it draws and labels first if need be. Writes
one file per job into ``results/``, then ``results.md``, ``results.png``, and the start's card. The
closed-form methods are those of `kshot eval`; those that move by gradient steps are in
``gradient.py``. Training from scratch is a study of a model that has not been trained: its results
outlive the start. The last is mace-torch, in an environment of its own, which this makes:

    make -C benchmarks/potentials/meta_gradients setup
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE / "bio-small.yaml"
KINDS = ("closed", "fine-tune", "scratch", "scratch-steps", "mace-torch")
TORCH = HERE.parent / "potentials" / "meta_gradients" / ".venv" / "bin" / "python"


def main() -> None:
    """Run every job that has no result yet, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--start", default="bio-small")
    parser.add_argument("--families", nargs="*", default=None)
    parser.add_argument("--only", choices=KINDS, default=None)
    parser.add_argument("--torch", type=Path, default=TORCH, help="Python with mace-torch")
    options = parser.parse_args()

    from gradient import FINE_TUNE, SCRATCH, SCRATCH_STEPS, by_gradient, untrained
    from mace_torch.job import by_mace_torch

    from kshot.core.cache import use_compile_cache
    from kshot.pipeline.card import card
    from kshot.pipeline.config import StudyConfig
    from kshot.pipeline.study import closed_form, load_study, run_study
    from kshot.pipeline.study_table import read_results, write_tables
    from kshot.potentials.model_file import summary
    from kshot.potentials.model_starts import start_path

    use_compile_cache()
    start, families, setting = load_study(StudyConfig(start=options.start, training=CONFIG))
    setting = setting._replace(seeds=tuple(range(options.seeds)))
    fresh = untrained(start)
    jobs = {
        "closed": (start, closed_form),
        "fine-tune": (start, partial(by_gradient, FINE_TUNE)),
        "scratch": (fresh, partial(by_gradient, SCRATCH)),
        "scratch-steps": (fresh, partial(by_gradient, SCRATCH_STEPS)),
        "mace-torch": (start, partial(by_mace_torch, options.torch)),
    }

    def say(line: str) -> None:
        print(line, flush=True)
        write_tables(HERE / "results", HERE, start.digest, fresh.digest)

    wanted = {name: families[name] for name in options.families or families}
    for kind in [options.only] if options.only else KINDS:
        model, job = jobs[kind]
        run_study(model, wanted, setting, HERE / "results", {kind: job}, say)
    say((HERE / "results.md").read_text())
    path = start_path(options.start)
    known = read_results(HERE / "results", start.digest, fresh.digest)
    path.with_suffix(".md").write_text(card(path.stem, summary(path), known))


if __name__ == "__main__":
    main()
