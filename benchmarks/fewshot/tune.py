"""Rates and weights of gradient contestants, tuned on development families; it may be resumed.

    python benchmarks/fewshot/tune.py [--families uracil …] [--only scratch] [--draws 1]
    python benchmarks/fewshot/tune.py --start so3lr --only fine-tune

Families that no result is reported on: each has 20 shots, and errors are those of another
trajectory; a start of DFT labels is tuned on those of ``level/``. From the values of before, one
number is moved at a time, to the next half a decade (rates) or decade (weights of energies), until
both neighbours of what is best are worse: so no edge of a grid is ever chosen. Then a refit of all
20 by the same steps is held against what stopped early. Writes ``tuning.md`` as it grows, and what
it is made of into ``tuning/``, both in ``development/`` or ``development/START/``; the chosen
values are in ``tuned.py`` and `kshot.fewshot.adapters.finetune`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from gradient import DRAWS, by_gradient, shifted, told, untrained
from tuned import FINE_TUNE, SCRATCH, recipe_of

from kshot.atoms.files import read_labelled
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.descent import Descent, Recipe
from kshot.pipeline.study import Draw, Job, Pool, Row, Setting, pool_of, run_study, tested
from kshot.potentials.model import Model

HERE = Path(__file__).parent
SHOTS, TEST = 20, 40
SHIPPED = "bio-small"
HALF_DECADE, DECADE = 10**0.5, 10.0
EARLY, REFIT = "stopped early", "refitted"
HEADS = (
    "rate",
    "weight of energies",
    "",
    "energy, meV",
    "forces, meV/Å",
    "best step",
    "steps",
    "ended by",
    "seconds",
)


class Score(NamedTuple):
    """What came of one recipe over families and draws.

    Args:
        energy: geometric mean of errors in eV.
        forces: likewise, in eV/Å.
        best: mean step of the best parameters.
        steps: mean number of steps until a run ended.
        stopped: why, each once.
        seconds: mean of a run.
    """

    energy: float
    forces: float
    best: float
    steps: float
    stopped: tuple[str, ...]
    seconds: float

    @property
    def together(self) -> float:
        """One number to choose by: both errors count by their ratio."""
        return float(np.log(self.energy) + np.log(self.forces)) / 2


Table = dict[tuple[Recipe, str], Score]


class Ground(NamedTuple):
    """What a start is tuned on.

    Args:
        frames: a file of each family, by the place of its name.
        families: their names.
        asked: the test set whose errors count.
    """

    frames: str
    families: tuple[str, ...]
    asked: str

    def pool(self, family: str) -> Pool:
        """Return the frames of a family."""
        path = HERE / self.frames.format(family)
        return pool_of(family, list(read_labelled(path)), TEST)


OWN_LEVEL = Ground(
    "frames/development/{}.extxyz.xz", ("uracil", "side-chain-his"), asked="test-same"
)
DFT = Ground("level/{}.extxyz", ("uracil", "side-chain-his", "side-chain-tyr"), asked="test")


def main() -> None:
    """Tune both contestants, and write the table as it grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--families", nargs="*", default=None)
    parser.add_argument("--only", choices=(FINE_TUNE, SCRATCH), default=None)
    parser.add_argument("--draws", type=int, default=1, help=f"of {DRAWS} that share no label")
    parser.add_argument("--start", default=SHIPPED)
    options = parser.parse_args()

    from kshot.core.cache import use_compile_cache
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    use_compile_cache()
    start, known = load(start_path(options.start)), Path(options.start).stem
    models = {FINE_TUNE: start, SCRATCH: untrained(start)}
    ground, out = ground_of(known), folder_of(known)
    families = options.families or ground.families
    pools = [ground.pool(name) for name in families]
    tables: dict[str, Table] = {}
    out.mkdir(exist_ok=True)
    for kind in [options.only] if options.only else models:
        model, recipe = models[kind], recipe_of(known, kind)
        table = tables[kind] = {}

        def score(recipe: Recipe, end: str, kind: str = kind, model: Model = model) -> float:
            job = job_of(kind, model, recipe, end)
            result = scored(job, pools, options.draws, ground, out / "tuning")
            tables[kind][recipe, end] = result
            (out / "tuning.md").write_text(page(tables, ground, families, options))
            return result.together

        score(searched(recipe, partial(score, end=EARLY)), REFIT)
        print(page({kind: table}, ground, families, options), flush=True)


def ground_of(start: str) -> Ground:
    """Return what a start is tuned on: labels of another level, unless it is one of GFN2."""
    return OWN_LEVEL if start.startswith("bio-") else DFT


def folder_of(start: str) -> Path:
    """Return where the table of a start is; the shipped one has no folder of its own."""
    return HERE / "development" / ("" if start == SHIPPED else start)


def job_of(kind: str, model: Model, recipe: Recipe, end: str) -> Job:
    """Return one recipe as a job of a study."""
    name = f"{kind}-{recipe.rate:g}-{recipe.energy_weight:g}"
    run = partial(by_gradient, {EARLY: recipe})
    if end == REFIT:
        name, run = f"{name}-refit", partial(refitted, recipe)
    sources = (HERE / "gradient.py", Path(__file__))
    return Job(name, model, run, (SHOTS,), sources=sources, options={"recipe": list(recipe)})


def refitted(recipe: Recipe, start: Model, draw: Draw, shots: tuple[int, ...]) -> list[Row]:
    """Return the rows of a refit of all shots by the steps of what stopped early."""
    pieces = to_pieces(start, draw.shots)
    descent = Descent(start.potential, pieces, start.dtype)
    rows = []
    for k in shots:
        begun = time.perf_counter()
        run = descent.converged(start.params, pieces[:k], recipe)
        params = descent.refitted(start.params, pieces[:k], recipe, run)
        seconds = round(time.perf_counter() - begun, 1)
        model = shifted(start.with_(params=params), draw.shots[:k])
        rows += tested(model, draw, REFIT, k, **told(recipe, run), seconds=seconds)
    return rows


def scored(job: Job, pools: Sequence[Pool], draws: int, ground: Ground, folder: Path) -> Score:
    """Return what comes of a job; runs that are known are not run again."""
    study = run_study(pools, Setting((SHOTS,), draws, TEST), [job], folder, print)
    rows = [row for row in study.rows if row["test"] == ground.asked]
    energy, forces = (np.exp(np.mean(np.log([row[q] for row in rows]))) for q in Score._fields[:2])
    best, steps, seconds = (
        float(np.mean([row[name] for row in rows])) for name in ("best", "steps", "seconds")
    )
    stopped = tuple(sorted({row["stopped"] for row in rows}))
    return Score(float(energy), float(forces), best, steps, stopped, seconds)


def searched(recipe: Recipe, error: Callable[[Recipe], float]) -> Recipe:
    """Return a recipe whose rate and weight are better than both of their neighbours."""
    while True:
        better = lowest(recipe, "rate", HALF_DECADE, error)
        better = lowest(better, "energy_weight", DECADE, error)
        if better == recipe:
            return recipe
        recipe = better


def lowest(recipe: Recipe, name: str, factor: float, error: Callable[[Recipe], float]) -> Recipe:
    """Return the recipe moved along one number until both neighbours are worse."""

    def moved(recipe: Recipe, steps: int) -> Recipe:
        place = round(np.log(getattr(recipe, name)) / np.log(factor)) + steps
        return recipe._replace(**{name: float(f"{factor**place:.3g}")})  # the same from both sides

    while True:
        around = [recipe, moved(recipe, 1), moved(recipe, -1)]
        best = min(around, key=error)
        if best == recipe:
            return recipe
        recipe = best


def page(
    tables: dict[str, Table], ground: Ground, families: Sequence[str], options: argparse.Namespace
) -> str:
    """Return the tables as one page."""
    lines = [
        f"# Rates and weights of the gradient contestants: {options.start}",
        "",
        f"Made by `python benchmarks/fewshot/tune.py --start {options.start}`; not to be edited.",
        "",
        f"Development families {', '.join(families)}; K = {SHOTS}, {options.draws} draw(s), errors",
        f"on `{ground.asked}`, geometric means. Steps are those of the best parameters and those",
        "after which the run ended.",
    ]
    for kind, table in tables.items():
        lines += ["", f"## {kind}", "", f"| {' | '.join(HEADS)} | |"]
        lines += ["|---" * (len(HEADS) + 1) + "|"]
        best = min(table, key=partial(_together, table))
        lines += [_line(key, table[key], least=key == best) for key in sorted(table)]
    return "\n".join([*lines, ""])


def _together(table: Table, key: tuple[Recipe, str]) -> float:
    return table[key].together


def _line(key: tuple[Recipe, str], score: Score, *, least: bool) -> str:
    recipe, end = key
    cells = [f"{recipe.rate:g}", f"{recipe.energy_weight:g}", end]
    cells += [f"{1e3 * score.energy:.1f}", f"{1e3 * score.forces:.1f}"]
    cells += [f"{score.best:.0f}", f"{score.steps:.0f}", ", ".join(score.stopped)]
    cells += [f"{score.seconds:.0f}", "**least**" if least else ""]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
