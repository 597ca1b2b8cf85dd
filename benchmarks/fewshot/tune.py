"""Rates and weights of gradient contestants, tuned on development families; it may be resumed.

    python benchmarks/fewshot/tune.py [--families uracil …] [--only scratch] [--draws 1]

Families that no result is reported on: each has 20 shots of one trajectory, and errors are those of
another. From the values of before, one number is moved at a time, by half a decade (rates) or a
decade (weights of energies), until both neighbours of what is best are worse: so no edge of a grid
is ever chosen. Then a refit of all 20 by the same steps is held against what stopped early. Writes
``tuning.md``; the chosen values are constants in ``gradient.py`` and `kshot.fewshot.finetune`.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kshot.atoms import Labelled
from kshot.core.seeds import named_generator
from kshot.fewshot.descent import Descended, Descent, Recipe
from kshot.potentials.model import Model

HERE = Path(__file__).parent
FRAMES = HERE / "frames" / "development"
STORE = Path(".cache/fewshot/tuning.jsonl")
FAMILIES = ("uracil", "side-chain-his")
SHOTS, SHOTS_FROM, TEST_FROM = 20, "shots-1", "test-same"
HALF_DECADE, DECADE = 10**0.5, 10.0
HEADS = (
    "rate",
    "weight of energies",
    "ends",
    "energy, meV",
    "forces, meV/Å",
    "best step",
    "steps",
)


class Score(NamedTuple):
    """Errors of one recipe, mean over families and draws of their logarithms, in eV and eV/Å."""

    energy: float
    forces: float
    best: float
    steps: float
    seconds: float

    @property
    def together(self) -> float:
        """One number to choose by: both errors count by their ratio."""
        return float(np.log(self.energy) + np.log(self.forces)) / 2


def main() -> None:
    """Tune both contestants, and write the table as it grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=Path, default=FRAMES)
    parser.add_argument("--families", nargs="*", default=FAMILIES)
    parser.add_argument("--only", choices=("fine-tune", "scratch"), default=None)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--start", default="bio-small")
    options = parser.parse_args()

    from gradient import FINE_TUNE, SCRATCH, untrained

    from kshot.core.cache import use_compile_cache
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    use_compile_cache()
    start = load(start_path(options.start))
    contestants = {
        "fine-tune": (start, *FINE_TUNE.values()),
        "scratch": (untrained(start), *SCRATCH.values()),
    }
    tables: dict[str, Table] = {}
    for kind in [options.only] if options.only else contestants:
        base, recipe = contestants[kind]
        families = [Family(base, path_of(options.frames, name)) for name in options.families]
        tables[kind] = {}
        score = functools.partial(scored, kind, families, options.draws, tables[kind])
        chosen = searched(recipe, lambda one, score=score: score(one, "early").together)
        score(chosen, "refit")
        (HERE / "tuning.md").write_text(page(tables, options.families, options.draws))


class Family:
    """Shots and test frames of a development family, and a descent on them."""

    def __init__(self, base: Model, path: Path) -> None:
        from kshot.atoms.files import read_labelled
        from kshot.fewshot.adapt import to_pieces

        frames = list(read_labelled(path))
        self.base = base
        self.name = path.name.partition(".")[0]
        self.pool = part(frames, SHOTS_FROM)
        self.test = part(frames, TEST_FROM)
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.pieces = to_pieces(base, self.pool)

    @functools.cached_property
    def descent(self) -> Descent:
        """The programs, made when a run is wanted that the store does not hold."""
        return Descent(self.base.potential, self.pieces, self.base.dtype)

    @functools.lru_cache(maxsize=4)  # noqa: B019 - as many as a refit asks for again
    def run(self, recipe: Recipe, draw: int) -> Descended:
        """Return a converged run."""
        return self.descent.converged(self.base.params, self.shots(draw)[1], recipe)

    def shots(self, draw: int) -> tuple[list[Labelled], list]:
        """Return the shots of a draw, and the same as pieces."""
        order = named_generator(draw, "tuning").permutation(len(self.pool))[:SHOTS]
        return [self.pool[i] for i in order], [self.pieces[i] for i in order]

    def errors(self, recipe: Recipe, draw: int, end: str) -> Score:
        """Return the test errors of one run; ``end`` is ``"early"`` or ``"refit"``."""
        from gradient import shifted

        from kshot.pipeline.evaluate import evaluate
        from kshot.pipeline.study import ALLOW

        begun = time.perf_counter()
        run, (shots, pieces) = self.run(recipe, draw), self.shots(draw)
        params = run.params
        if end == "refit":
            params = self.descent.refitted(self.base.params, pieces, recipe, run)
        model = shifted(self.base.with_(params=params), shots)
        found = evaluate(model, self.test, allow=ALLOW)
        spent = time.perf_counter() - begun
        return Score(found.energy_rmse_eV, found.force_rmse_eV_per_A, run.best, run.steps, spent)


Table = dict[tuple[Recipe, str], Score]


def path_of(folder: Path, name: str) -> Path:
    """Return the file of a family's frames."""
    for ending in ("extxyz.xz", "extxyz"):
        if (path := folder / f"{name}.{ending}").exists():
            return path
    raise SystemExit(f"no frames of {name} in {folder}: {name}.extxyz or {name}.extxyz.xz")


def part(frames: Sequence[Labelled], trajectory: str) -> list[Labelled]:
    """Return the frames of one trajectory."""
    return [one for one in frames if one.structure.info.get("trajectory") == trajectory]


def scored(
    kind: str, families: Sequence[Family], draws: int, table: Table, recipe: Recipe, end: str
) -> Score:
    """Return a recipe's errors over families and draws, from the store where they are known."""
    scores = [
        stored(
            {
                "kind": kind,
                "family": family.name,
                "frames": family.digest,
                "start": family.base.digest,
                "recipe": [float(f"{value:.4g}") for value in recipe],
                "draw": draw,
                "end": end,
            },
            functools.partial(family.errors, recipe, draw, end),
        )
        for family in families
        for draw in range(draws)
    ]
    columns = np.array(scores, np.float64).T
    means = [float(np.exp(np.log(column).mean())) for column in columns[:2]]
    table[recipe, end] = Score(*means, *map(float, columns[2:].mean(axis=1)))
    print(kind, recipe, end, table[recipe, end], flush=True)
    return table[recipe, end]


def stored(asked: dict, make: Callable[[], Score]) -> Score:
    """Return a score that this version of the code has found before, or find it."""
    from kshot.core.kept_programs import code_digest

    asked |= {"code": code_digest()}
    lines = STORE.read_text().splitlines() if STORE.exists() else []
    for line in map(json.loads, lines):
        if line["asked"] == asked:
            return Score(*line["score"])
    score = make()
    STORE.parent.mkdir(parents=True, exist_ok=True)
    with STORE.open("a") as file:
        file.write(json.dumps({"asked": asked, "score": score}) + "\n")
    return score


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

    def moved(recipe: Recipe, step: float) -> Recipe:
        return recipe._replace(**{name: float(f"{getattr(recipe, name) * step:.3g}")})

    while True:
        around = [recipe, moved(recipe, factor), moved(recipe, 1 / factor)]
        best = min(around, key=error)
        if best == recipe:
            return recipe
        recipe = best


def page(tables: dict[str, Table], families: Sequence[str], draws: int) -> str:
    """Return the tables as one page."""
    lines = [
        "# Rates and weights of the gradient contestants",
        "",
        "Made by `python benchmarks/fewshot/tune.py`; not to be edited.",
        "",
        f"Development families {', '.join(families)}; K = {SHOTS}, {draws} draw(s) of",
        f"`{SHOTS_FROM}`, errors on `{TEST_FROM}`, geometric means. Steps are those of the best",
        "parameters and those after which patience ended the run.",
    ]
    for kind, table in tables.items():
        best = min(table, key=lambda key, table=table: table[key].together)
        lines += [
            "",
            f"## {kind}",
            "",
            f"| {' | '.join(HEADS)} | |",
            "|---" * (len(HEADS) + 1) + "|",
        ]
        for key in sorted(table):
            (recipe, end), score = key, table[key]
            errors = f"{1e3 * score.energy:.1f} | {1e3 * score.forces:.1f}"
            steps = f"{score.best:.0f} | {score.steps:.0f}"
            mark = "least" if key == best else ""
            told = f"{recipe.rate:g} | {recipe.energy_weight:g} | {end}"
            lines.append(f"| {told} | {errors} | {steps} | {mark} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
