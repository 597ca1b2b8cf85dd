"""Every algorithm of the engine, meta-trained from one start, judged on development families.

    python benchmarks/fewshot/algorithms.py [--steps 100] [--draws 3] [--algorithms maml …]

All start from the same jointly trained parameters and see the same tasks: ten frames of a small
molecule to adapt on, ten to be judged on. Inner rates are those that adapt the start best to
validation families before any meta-training. Judged at K = 10 on development families that are
small enough, with the draws of ``run.py --development``, whose closed-form rows stand beside.
Writes one file per algorithm into ``development/algorithms/`` and the page ``algorithms.md``, of
each the longest training so far; run again, it goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from gradient import shifted
from run import SHOTS, SUFFIX, TEST

from kshot.atoms import Labelled
from kshot.atoms.files import read_labelled
from kshot.core.cache import use_compile_cache
from kshot.core.whole import whole
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.adapters import adapters
from kshot.fewshot.adapters.inner import Inner, energy_forces, inner_of
from kshot.fewshot.algorithms import ALGORITHMS
from kshot.fewshot.recipes import CLOSED, Options
from kshot.fewshot.task_batches import TaskBatches, of_one_room, task_batches
from kshot.pipeline.config import TrainConfig, load_config
from kshot.pipeline.families import chosen
from kshot.pipeline.meta import as_scaffolds, meta_stage
from kshot.pipeline.study import Draw, draws_of, pool_of, tested
from kshot.pipeline.study.store import read_rows
from kshot.pipeline.train import prepare
from kshot.potentials.model import Model
from kshot.potentials.model_file import load
from kshot.potentials.model_starts import start_path
from kshot.potentials.packed import pack

HERE = Path(__file__).parent
CONFIG = HERE / "bio-small.yaml"
RESULTS = HERE / "development" / "algorithms"
FRAMES = HERE / "frames" / "development"
FAMILIES = ("side-chain-his", "uracil")  # of at most MOST_ATOMS atoms
K, MOST_ATOMS, ADAPT_STEPS, WATCHED = 10, 12, 20, 6
RATES = {"adam": (3e-4, 1e-3, 3e-3), "sgd": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)}
PRECISIONS = (1.0, 1e-2, 1e-3, 1e-4, 1e-5)
PRIORS = {
    "ridge": lambda state: state.learner.rule.inner.log_precision,
    "gauss_newton": lambda state: (
        state.learner.rule.log_precision,
        state.learner.rule.log_damping,
    ),
}
LEARNS_RATES = ("meta_sgd", "mamlpp")  # from plain gradient steps


class Ground(NamedTuple):
    """What all algorithms share: the start, the frames, and room for a set of them."""

    start: Model
    training: Mapping[str, Sequence[Labelled]]
    validation: Mapping[str, Sequence[Labelled]]
    held_out: Mapping[str, Sequence[Labelled]]  # development families
    tasks: TaskBatches  # of validation families, with room for the held-out ones


def main() -> None:
    """Run every algorithm that has no result yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="outer steps")
    parser.add_argument("--draws", type=int, default=3, help="choices of the shots")
    parser.add_argument("--algorithms", nargs="*", choices=ALGORITHMS, default=ALGORITHMS)
    parser.add_argument("--precisions", action="store_true", help="only show what priors do")
    options = parser.parse_args()
    use_compile_cache()
    RESULTS.mkdir(parents=True, exist_ok=True)
    start = load(start_path("bio-small"))
    if options.precisions:
        show_precisions(prepared(start))
        return
    known = {one["algorithm"] for one in results(start) if one["steps"] in (0, options.steps)}
    wanted = [name for name in options.algorithms if name not in known]
    if wanted:
        ground = prepared(start)
        rates = tuned_rates(ground)
        for name in wanted:
            found = run(name, ground, rates, options.steps, options.draws)
            with whole(RESULTS / f"{name}-{options.steps}.json") as part:
                part.write_text(json.dumps(found) + "\n")
            write_page(start)
            jax.clear_caches()  # what is compiled for all of them is more than one process may map
    write_page(start)
    print((HERE / "algorithms.md").read_text())


def config_of(name: str, rate: float, steps: int) -> TrainConfig:
    """Return the configuration of one meta-training."""
    optimiser = "sgd" if name in LEARNS_RATES else "adam"
    told = {
        "algorithm": name,
        "steps": steps,
        "most_atoms": MOST_ATOMS,
        "inner_rate": rate,
        "optimiser": optimiser,
        "adapt_steps": ADAPT_STEPS,
    }
    return load_config(CONFIG, tuple(f"meta.{key}={value}" for key, value in told.items()))


def prepared(start: Model) -> Ground:
    """Return the start, and labelled frames of molecules that are small enough."""
    config = load_config(CONFIG)
    small = [
        one.model_copy(update={"most_atoms": min(MOST_ATOMS, one.most_atoms or MOST_ATOMS)})
        for one in config.data.draws
    ]
    drawn = config.data.model_copy(update={"draws": tuple(small)})
    data = prepare(config.model_copy(update={"data": drawn}), chosen(config.families))
    small = {name: list(read_labelled(FRAMES / f"{name}{SUFFIX}")) for name in FAMILIES}
    streams = {"tasks": batches(start, data.validation), "held out": batches(start, small)}
    tasks = of_one_room(streams)["tasks"]
    return Ground(start, data.training, data.validation, small, tasks)


def batches(start: Model, families: Mapping[str, Sequence[Labelled]]) -> TaskBatches:
    """Return tasks of some families."""
    return task_batches(
        {name: as_scaffolds(start, frames) for name, frames in families.items()},
        shots=K,
        query=K,
        tasks=1,
        most_atoms=MOST_ATOMS,
        cutoff=start.potential.cutoff,
        dtype="float32",
    )


def tuned_rates(ground: Ground) -> dict[str, float]:
    """Return the inner rates that adapt the start best to validation families."""
    tasks = ground.tasks.first_of_each()[:WATCHED]
    best = {}
    for optimiser, rates in RATES.items():
        options = Options(rate=rates[0], optimiser=optimiser)
        loss = energy_forces(ground.start, 3.0, 1.0)
        inner = Inner("finetune", loss, options, ADAPT_STEPS)
        algorithm = inner.algorithm()
        state = inner.state(algorithm, ground.start.params)
        errors = []
        for rate in rates:
            # the rate is an input of the program: nothing is compiled again.
            here = eqx.tree_at(lambda s: s.learner.rule.rate, state, jnp.float32(rate))
            adapted = [algorithm.adapt(here, task.support, ADAPT_STEPS) for task in tasks]
            losses = [loss(p, task.query) for p, task in zip(adapted, tasks, strict=True)]
            errors.append(float(np.mean(np.nan_to_num(losses, nan=np.inf))))
        best[optimiser] = rates[int(np.argmin(errors))]
        told = ", ".join(f"{r:g}: {e:.4f}" for r, e in zip(rates, errors, strict=True))
        print(f"{optimiser}: query loss by rate {told}", flush=True)
    return best


def show_precisions(ground: Ground) -> None:
    """Print how well the start adapts to validation families by the precision of a prior."""
    tasks = ground.tasks.first_of_each()[:WATCHED]
    loss = energy_forces(ground.start, 3.0, 1.0)
    before = np.mean([loss(ground.start.params, task.query) for task in tasks])
    print(f"{len(tasks)} families, query loss of the start {before:.4f}")
    for name, where in PRIORS.items():
        inner = Inner(name, loss, Options(), CLOSED[name])
        algorithm = inner.algorithm()
        state = inner.state(algorithm, ground.start.params)
        for precision in PRECISIONS:
            put = jax.tree.map(lambda x, p=precision: jnp.full_like(x, np.log(p)), where(state))
            here = eqx.tree_at(where, state, put)
            adapted = [algorithm.adapt(here, task.support, inner.steps) for task in tasks]
            losses = [float(loss(p, one.query)) for p, one in zip(adapted, tasks, strict=True)]
            print(f"{name}, precision {precision:g}: {np.mean(losses):.4f}", flush=True)


def run(name: str, ground: Ground, rates: Mapping[str, float], steps: int, draws: int) -> dict:
    """Return the errors of one algorithm on the development families, and what it took."""
    config = config_of(name, rates["sgd" if name in LEARNS_RATES else "adam"], steps)
    begun, lines = time.perf_counter(), []

    def say(line: str) -> None:
        lines.append(line)
        print(f"{time.perf_counter() - begun:.0f} s  {line}", flush=True)

    base = HERE.parent.parent / ".cache" / "fewshot" / "algorithms"
    folder = base / f"{name}-{steps}-{ground.start.digest[:12]}"
    stage = meta_stage(ground.start, ground.training, ground.validation, config)
    assert stage is not None
    model = stage.run(ground.start, folder, config.seed, say)
    inner = inner_of(model)
    assert inner is not None
    rows = [
        row
        for family, frames in ground.held_out.items()
        for draw in draws_of(pool_of(family, frames, TEST), SHOTS, draws)
        for row in judged(model, inner, ground, draw)
    ]
    return {
        "algorithm": name,
        "start": ground.start.digest,
        "steps": 0 if name == "finetune" else steps,
        "inner_rate": config.meta.inner_rate,
        "seconds": time.perf_counter() - begun,
        "lines": lines,
        "rows": rows,
    }


def judged(model: Model, inner: Inner, ground: Ground, draw: Draw) -> list[dict]:
    """Return the rows of one draw, before and after adaptation."""
    algorithm = inner.algorithm()
    shots = draw.shots[:K]
    frames = to_pieces(model, shots)
    packed = pack(frames, ground.tasks.room, K, model.potential.cutoff, np.float32)
    adapted = algorithm.adapt(inner.state(algorithm, model.params), packed, inner.steps)
    more = {"family": draw.family, "draw": draw.number}
    return [
        row
        for when, params in (("before", model.params), ("after", adapted))
        for row in tested(shifted(model, params, shots), draw, when, K, **more)
    ]


def results(start: Model) -> list[dict]:
    """Return all results from one start, the shortest trainings first."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    return sorted((one for one in found if one["start"] == start.digest), key=itemgetter("steps"))


def write_page(start: Model) -> None:
    """Write the table of what is there, of each algorithm its longest training so far."""
    done = list({one["algorithm"]: one for one in results(start)}.values())
    if not done:
        return
    families = sorted({row["family"] for one in done for row in one["rows"]})
    draws = 1 + max(row["draw"] for one in done for row in one["rows"])
    lines = [
        "# Every algorithm of the engine on development families",
        "",
        "Made by `python benchmarks/fewshot/algorithms.py`; not to be edited.",
        "",
        f"From the start `{start.digest[:12]}`, each outer step on a task of {K} + {K} frames of",
        f"at most {MOST_ATOMS} atoms; then K = {K}, {draws} draws, on {', '.join(families)}.",
        "Energy meV, forces meV/Å; mean over families, ± standard deviation over draws in one.",
        "",
        "| algorithm | steps | energy before | after | forces before | after | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in sorted(done, key=lambda one: mean(one["rows"], "after", "forces", families)[0]):
        cells = [
            "{:.1f} ± {:.1f}".format(*mean(one["rows"], when, what, families))
            for what in ("energy", "forces")
            for when in ("before", "after")
        ]
        begin = f"| {one['algorithm']} | {one['steps']} "
        lines.append(f"{begin}| {' | '.join(cells)} | {one['seconds'] / 60:.0f} |")
    for name, rows in closed_form(start, families, draws).items():
        cells = [
            "{:.1f} ± {:.1f}".format(*mean(rows, name, q, families)) for q in ("energy", "forces")
        ]
        lines.append(f"| closed form: {name} | | | {cells[0]} | | {cells[1]} | |")
    (HERE / "algorithms.md").write_text("\n".join(lines) + "\n")


def closed_form(start: Model, families: Sequence[str], draws: int) -> dict[str, list[dict]]:
    """Return the rows of ``run.py`` for the same families and draws, by method."""
    found: dict[str, list[dict]] = {}
    for row in read_rows(HERE / "development" / "results", start.digest):
        same = row["family"] in families and row["k"] == K and row["draw"] < draws
        if same and row["method"] in {*adapters, "kshot"}:
            found.setdefault(row["method"], []).append(row)
    return found


def mean(rows: Sequence[dict], method: str, what: str, families: Sequence[str]) -> tuple:
    """Return the mean over families and the mean spread over draws, in meV and meV/Å."""
    values = [
        [1e3 * row[what] for row in rows if row["family"] == family and row["method"] == method]
        for family in families
    ]
    return np.mean([np.mean(some) for some in values]), np.mean([np.std(some) for some in values])


if __name__ == "__main__":
    main()
