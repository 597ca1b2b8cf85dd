"""A study: error against K on families that no training saw, for every method, several seeds.

The closed-form methods are the product's own code; their matrices are shared between seeds and K.
Each family's result is one file, written as a whole: a killed study goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Labelled
from kshot.atoms.files import read_labelled
from kshot.core.errors import TaskError
from kshot.core.seeds import named_generator
from kshot.core.whole import whole
from kshot.fewshot.adapt import MOST_ROWS, choose_among, fitted, to_pieces
from kshot.fewshot.anchors import anchor_rows, drift
from kshot.fewshot.jacobian import rows
from kshot.fewshot.judge import shots as ready
from kshot.fewshot.least_squares import grams
from kshot.fewshot.methods import METHODS, prior_of
from kshot.pipeline.config import ConfigError, StudyConfig, TrainConfig, load_config
from kshot.pipeline.draws import draw_all, jobs_of, label_frames
from kshot.pipeline.evaluate import evaluate
from kshot.pipeline.families import chosen
from kshot.potentials.model import Model
from kshot.potentials.model_file import load
from kshot.potentials.model_starts import start_path

ALLOW = ("charges", "multiplicities", "levels")
Result = dict[str, Any]
"""One method, K and seed: errors in eV and eV/Å, and what cross-validation chose."""


class Setting(NamedTuple):
    """What a study asks.

    Args:
        shots: numbers of labels.
        seeds: of the choice of shots.
        test: frames to judge on, from another trajectory than the shots.
    """

    shots: tuple[int, ...] = (5, 10, 20, 50)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    test: int = 40


Job = Callable[[Model, Sequence[Labelled], Setting], list[Result]]


def load_study(config: StudyConfig) -> tuple[Model, dict[str, list[Labelled]], Setting]:
    """Return the start, labelled frames by family, and the setting that a configuration names.

    Raises:
        ConfigError: it names neither a training configuration nor frames, or both.
    """
    if (config.training is None) == (not config.frames):
        todo = "See `kshot template study`."
        raise ConfigError("either training or frames", "both or neither", todo)
    start = load(start_path(config.start))
    setting = Setting(config.shots, config.seeds, config.test)
    if config.training is not None:
        return start, held_out_frames(load_config(config.training)), setting
    read = {name: list(read_labelled(path)) for name, path in config.frames.items()}
    return start, read, setting


def held_out_frames(config: TrainConfig) -> dict[str, list[Labelled]]:
    """Return the labelled held-out configurations by family, drawn and labelled if need be."""
    data = config.data
    families = chosen(config.families).held_out
    ways = [one.draw() for one in data.held_out_draws or data.draws]
    drawn = draw_all(
        jobs_of(families, ways, data.engine, config.seed, data.folder / "frames"), data.workers
    )
    labelled, _ = label_frames(
        drawn.frames, data.engine, data.folder / "labels.ledger", data.workers
    )
    return by_family(labelled)


def by_family(labelled: Iterable[Labelled]) -> dict[str, list[Labelled]]:
    """Return frames by the name of their family."""
    found: dict[str, list[Labelled]] = {}
    for one in labelled:
        found.setdefault(one.structure.family, []).append(one)
    return found


def run_study(
    start: Model,
    families: Mapping[str, Sequence[Labelled]],
    setting: Setting,
    folder: Path,
    jobs: Mapping[str, Job],
    say: Callable[[str], None],
) -> None:
    """Run what has no result yet.

    Args:
        start: what is adapted; results of another start are made anew.
        families: labelled frames by family.
        setting: what is asked.
        folder: of the results, a file for each job and family.
        jobs: by name, such as `closed_form`.
        say: what lines of progress are given to.
    """
    for kind, job in jobs.items():
        for name, frames in families.items():
            path = folder / f"{kind}-{name}.json"
            asked = {"family": name, "digest": start.digest, "shots": list(setting.shots)}
            known = _known(path, asked)
            missing = tuple(one for one in setting.seeds if one not in known["seeds"])
            if not missing:
                continue
            begun = time.perf_counter()
            known["rows"] += job(start, frames, setting._replace(seeds=missing))
            known["seeds"] += missing
            spent = time.perf_counter() - begun
            known["seconds"] += spent
            with whole(path) as part:
                part.write_text(json.dumps(known) + "\n")
            say(f"{kind} {name}: {spent:.0f} s")


def _known(path: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file holds if it answers what is asked, for some seeds; else nothing yet."""
    if path.exists():
        held = json.loads(path.read_text())
        if asked.items() <= held.items():
            return held
    return {**asked, "seeds": [], "rows": [], "seconds": 0.0}


def support_and_test(
    frames: Sequence[Labelled], test: int
) -> tuple[list[Labelled], list[Labelled]]:
    """Return what shots are taken from, and a test set from another trajectory.

    Raises:
        TaskError: all frames are from one trajectory.
    """
    trajectory = lambda one: str(one.structure.info.get("trajectory", ""))  # noqa: E731
    names = sorted({trajectory(one) for one in frames})
    if len(names) < 2:
        todo = "Draw the family with another seed or temperature too."
        raise TaskError("frames of two trajectories, to test on other ones", "one", todo)
    first = names[: len(names) // 2]
    pool = [one for one in frames if trajectory(one) in first]
    other = [one for one in frames if trajectory(one) not in first]
    places = np.linspace(0, len(other) - 1, min(test, len(other))).astype(int)
    return pool, [other[i] for i in places]


def order_of(seed: int, count: int) -> np.ndarray:
    """Return the order in which shots are taken: K shots are the first K."""
    return named_generator(seed, "support").permutation(count)


def closed_form(start: Model, frames: Sequence[Labelled], setting: Setting) -> list[Result]:
    """Return the results of every closed-form method, and of the one that is chosen among them."""
    pool, asked = support_and_test(frames, setting.test)
    pieces = to_pieces(start, pool)
    sizes = [k for k in setting.shots if k <= len(pool)]
    directions = max(1, MOST_ROWS // max(sizes) - 1)
    own = rows(start.potential, start.params, pieces, directions=directions)
    priors = {name: prior_of(way, start) for name, way in METHODS.items()}
    problems = grams(own, priors, anchor_rows(start))
    told = []
    for seed in setting.seeds:
        order = order_of(seed, len(pool))
        for k in sizes:
            parts = {name: problem.of(order[:k]) for name, problem in problems.items()}
            some = ready(start, [pieces[i] for i in order[:k]], parts["shift"].rows)
            adapted = choose_among(some, parts, seed)
            best = adapted.chosen.method.name
            for one in adapted.candidates:
                name = one.method.name
                model = adapted.model if name == best else fitted(some, parts[name], one)
                extra = {"cv": list(one.error), "factor": one.factor, "steps": one.steps}
                told.append(result(name, k, seed, model, asked) | extra)
                if name == best:
                    lost = drift(start, model)
                    told.append(
                        told[-1] | {"method": "kshot", "chose": name, "drift": lost and list(lost)}
                    )
    return told


def result(method: str, k: int, seed: int, model: Model, asked: Sequence[Labelled]) -> Result:
    """Return the errors of one adapted model."""
    found = evaluate(model, asked, allow=ALLOW)
    return {
        "method": method,
        "k": k,
        "seed": seed,
        "energy": found.energy_rmse_eV,
        "forces": found.force_rmse_eV_per_A,
        "cosine": found.force_cosine,
    }
