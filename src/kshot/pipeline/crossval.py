"""Leave-one-family-out and leave-one-stratum-out: a training for each, and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kshot.core.errors import OptionError, UnknownNameError
from kshot.families.family import Family
from kshot.pipeline.config import TrainConfig
from kshot.pipeline.families import chosen
from kshot.pipeline.seen import one_scaffold
from kshot.pipeline.study import Setting, closed_form, held_out_frames, run_study
from kshot.pipeline.study_table import read_results
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
    seeds: Sequence[int] = (0, 1, 2),
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Return errors on each family that a training has not seen, for each K, mean over seeds.

    Args:
        config: of the training; its held-out families stay out of all folds.
        folder: of starts, checkpoints and results; the same call goes on where a killed one ended.
        by: ``family`` or ``stratum``: what is left out at once.
        only: names to leave out; every one in turn if empty.
        shots: numbers of labels.
        seeds: of the choice of shots.
        say: what lines of progress are given to.
    """
    found = []
    for name, families in folds(config, by, only).items():
        say(f"leaving out {by} {name}: {', '.join(families)}")
        start = _trained(_without(config, families), folder / f"{by}-{name}.kshot", say)
        drawn = held_out_frames(_asked(config, families))
        frames = {family: one_scaffold(some) for family, some in drawn.items()}
        results = folder / f"{by}-{name}"
        setting = Setting(tuple(shots), tuple(seeds))
        run_study(start, frames, setting, results, {"closed": closed_form}, say)
        found += [{"left_out": name, **one} for one in _means(read_results(results, start.digest))]
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


def _means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each family and K: kshot beside zero-shot + shift, means over seeds."""
    found = []
    for family, k in sorted({(one["family"], one["k"]) for one in rows}):
        here = [one for one in rows if (one["family"], one["k"]) == (family, k)]
        pick = lambda method, here=here: [one for one in here if one["method"] == method]  # noqa: E731
        mean = lambda some, what: sum(one[what] for one in some) / len(some)  # noqa: E731
        ours, plain = pick("kshot"), pick("shift")
        found.append(
            {
                "family": family,
                "k": k,
                "energy": mean(ours, "energy"),
                "forces": mean(ours, "forces"),
                "chose": ", ".join(sorted({one["chose"] for one in ours})),
                "shift_energy": mean(plain, "energy"),
                "shift_forces": mean(plain, "forces"),
            }
        )
    return found
