"""Leave-one-family-out and leave-one-stratum-out: a training for each, and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kshot.core.errors import OptionError, UnknownNameError
from kshot.families.family import Family
from kshot.fewshot.adapters.plain import SHIFT
from kshot.pipeline.config import TrainConfig
from kshot.pipeline.families import chosen
from kshot.pipeline.seen import one_scaffold
from kshot.pipeline.study import Row, Setting, draws_of, pool_of, run_study
from kshot.pipeline.study.run import closed_job, held_out_frames
from kshot.pipeline.train import train
from kshot.potentials.model import Model
from kshot.potentials.model_file import load, save

WAYS = ("family", "stratum")


def cross_validate(
    config: TrainConfig,
    folder: Path,
    *,
    by: str,
    only: Sequence[str] = (),
    shots: Sequence[int] = (5, 10),
    draws: int = 3,
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Return errors on each family that a training has not seen, for each K, mean over draws.

    Args:
        config: of the training; its held-out families stay out of all folds.
        folder: of starts, checkpoints and results; the same call goes on where a killed one ended.
        by: ``family`` or ``stratum``: what is left out at once.
        only: names to leave out; every one in turn if empty.
        shots: numbers of labels.
        draws: choices of shots.
        say: what lines of progress are given to.
    """
    found = []
    for name, families in folds(config, by, only).items():
        say(f"leaving out {by} {name}: {', '.join(families)}")
        setting = Setting(tuple(shots), draws)
        pools = [
            pool_of(family, one_scaffold(frames), setting.test)
            for family, frames in held_out_frames(_asked(config, families)).items()
        ]
        for pool in pools:  # what cannot be asked is refused before a training is paid for
            draws_of(pool, setting.shots, setting.draws)
        start = _trained(_without(config, families), folder / f"{by}-{name}.kshot", say)
        results = folder / f"{by}-{name}" / "results"
        study = run_study(pools, setting, [closed_job(start)], results, say)
        found += [{"left_out": name, **row} for row in _means(study.rows)]
    return found


def folds(config: TrainConfig, by: str, only: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the names of the families that each fold leaves out.

    Raises:
        OptionError: ``by`` is neither family nor stratum.
        UnknownNameError: a name in ``only`` that no fold has.
    """
    if by not in WAYS:
        raise OptionError("by: family or stratum", repr(by), "Choose one.")
    label: Callable[[Family], str] = lambda one: one.name if by == "family" else one.stratum  # noqa: E731
    found: dict[str, list[str]] = {}
    for one in chosen(config.families).training:
        found.setdefault(label(one), []).append(one.name)
    if unknown := sorted(set(only) - set(found)):
        raise UnknownNameError(f"no {by} in training is called {unknown[0]!r}.")
    return {name: found[name] for name in only} if only else found


def _without(config: TrainConfig, families: Sequence[str]) -> TrainConfig:
    """Return the configuration whose training never sees these families."""
    out = (*config.families.held_out, *families)
    return config.model_copy(
        update={"families": config.families.model_copy(update={"held_out": out})}
    )


def _asked(config: TrainConfig, families: Sequence[str]) -> TrainConfig:
    """Return the configuration whose held-out families are only these, drawn as in training."""
    held = config.families.model_copy(update={"held_out": tuple(families), "relatives": ()})
    data = config.data.model_copy(update={"held_out_draws": config.data.draws})
    return config.model_copy(update={"families": held, "data": data})


def _trained(config: TrainConfig, path: Path, say: Callable[[str], None]) -> Model:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save(train(config, path.with_suffix(".training"), say), path)
    return load(path)


def _means(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a row for each family, K and test set: kshot beside zero-shot + shift, mean errors."""
    cases = sorted({(row["family"], row["k"], row["test"]) for row in rows})
    return [_case([row for row in rows if _of(row) == case]) for case in cases]


def _of(row: Row) -> tuple[str, int, str]:
    return row["family"], row["k"], row["test"]


def _case(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the means over the draws of one family, K and test set."""
    ours = [row for row in rows if row["method"] == "kshot"]
    plain = [row for row in rows if row["method"] == SHIFT.name]
    family, k, test = _of(rows[0])
    return {
        "family": family,
        "k": k,
        "test": test,
        "energy": _mean(ours, "energy"),
        "forces": _mean(ours, "forces"),
        "chose": ", ".join(sorted({row["chose"] for row in ours})),
        "shift_energy": _mean(plain, "energy"),
        "shift_forces": _mean(plain, "forces"),
    }


def _mean(rows: Sequence[Row], quantity: str) -> float:
    return sum(float(row[quantity]) for row in rows) / len(rows)
