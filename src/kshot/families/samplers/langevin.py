"""Langevin dynamics with an engine: configurations of the classical ensemble at T."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.bars import bar
from kshot.core.errors import InputError
from kshot.core.units import ACCELERATION, BOLTZMANN
from kshot.families.samplers.accept import APART, Accept, Sieve
from kshot.families.samplers.base import (
    NoLabelError,
    Recorder,
    Sampler,
    Surface,
    check_request,
    failures_are_values,
    need_engine,
)
from kshot.families.samplers.isotopes import masses_of

HOT = 20.0  # times the wanted temperature plus START: an exploding run, no fluctuation
START = 5000.0  # K: what a strained start may set free
PATIENCE = 5  # candidates per frame wanted, before a run is given up


@failures_are_values
def langevin(
    structure: Structure,
    labeler: Labeler | None,
    n: int,
    *,
    temperature: float,
    seed: int,
    trajectories: int = 2,
    step: float = 0.5,
    friction: float = 0.02,
    warm_up: float = 200.0,
    spacing: float = 25.0,
    accept: Accept = APART,
    show: bool = False,
) -> list[Structure] | Failure:
    """Run Langevin dynamics and keep a frame now and then.

    Costs about ``(trajectories · warm_up + n · spacing) / step`` labels. Positions are integrated
    by BAOAB (Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34), whose configurations
    are those of the ensemble to second order in the step, or better.

    Args:
        structure: where to start; masses are those of its isotopes.
        labeler: the engine; `kshot.families.samplers.force_field.ForceField` where it should be
            cheap.
        n: how many frames, shared among the trajectories.
        temperature: in K, above zero.
        seed: the same seed gives the same frames.
        trajectories: independent runs, each with its own velocities and warm-up; support and query
            sets are taken from different ones.
        step: in fs; 0.5 is right with hydrogen.
        friction: in 1/fs.
        warm_up: what is run before the first frame, in fs.
        spacing: between candidates, in fs.
        accept: what is kept.
        show: show a bar.
    """
    check_request(structure, n, temperature, coldest=1e-3)
    engine = need_engine(labeler, "Langevin dynamics")
    _check_options(n, trajectories, step, friction, spacing)
    recorder = Recorder(structure, "langevin", temperature, seed, engine)
    surface = Surface(structure, engine)
    sieve = Sieve(structure, accept)
    stride, skip = max(1, round(spacing / step)), round(warm_up / step)
    with bar("Langevin frames", n, show=show) as advance:
        for run in range(trajectories):
            goal = (n * (run + 1)) // trajectories
            steps = baoab(
                surface,
                structure.positions,
                masses_of(structure),
                temperature,
                recorder.stream(run),
                step=step,
                friction=friction,
            )
            for done, (positions, _) in enumerate(steps, start=1):
                if done > skip and (done - skip) % stride == 0:
                    centred = positions - positions.mean(0) + structure.positions.mean(0)
                    advance(sieve.offer(recorder.frame(centred, run, done * step)))
                given_up = done > skip + PATIENCE * stride * (n // trajectories + 1)
                if len(sieve.frames) >= goal or given_up:
                    break
    return sieve.result(n)


def baoab(
    surface: Surface,
    positions: Float64[np.ndarray, "atoms 3"],
    masses: Float64[np.ndarray, " atoms"],
    temperature: float,
    rng: np.random.Generator,
    *,
    step: float,
    friction: float,
) -> Iterator[tuple[Float64[np.ndarray, "atoms 3"], Float64[np.ndarray, "atoms 3"]]]:
    """Yield positions (Å) and velocities (Å/fs) after each step, for ever.

    Velocities start from the ensemble. Nothing is constrained: the centre of mass has its share of
    kT too. NoLabelError is raised where a label fails or the run explodes.

    Args:
        surface: where to move.
        positions: where to start, in Å.
        masses: in u.
        temperature: in K.
        rng: where the randomness comes from.
        step: in fs.
        friction: in 1/fs.
    """
    m = masses[:, None]
    thermal = np.sqrt(BOLTZMANN * temperature / m * ACCELERATION)
    keep = np.exp(-friction * step)
    kick = np.sqrt(1 - keep**2) * thermal
    v = thermal * rng.standard_normal(positions.shape)
    a = surface(positions)[1] / m * ACCELERATION
    while True:
        v = v + 0.5 * step * a
        positions = positions + 0.5 * step * v
        v = keep * v + kick * rng.standard_normal(v.shape)
        positions = positions + 0.5 * step * v
        a = surface(positions)[1] / m * ACCELERATION
        v = v + 0.5 * step * a
        if (hot := kinetic_temperature(v, masses)) > HOT * temperature + START:
            detail = f"the run exploded: {hot:.0f} K instead of {temperature:g} K"
            raise NoLabelError(Failure("unphysical", detail))
        yield positions, v


def kinetic_temperature(
    velocities: Float64[np.ndarray, "atoms 3"], masses: Float64[np.ndarray, " atoms"]
) -> float:
    """Return the temperature of all 3N velocities, in K.

    Args:
        velocities: in Å/fs.
        masses: in u.
    """
    twice = (masses[:, None] * velocities**2).sum() / ACCELERATION
    return float(twice / (velocities.size * BOLTZMANN))


def _check_options(n: int, trajectories: int, step: float, friction: float, spacing: float) -> None:
    if not 1 <= trajectories <= n:
        todo = "Each trajectory gives at least one frame."
        raise InputError(f"1 to {n} trajectories", str(trajectories), todo)
    for name, value in {"step": step, "friction": friction, "spacing": spacing}.items():
        if not 0 < value < float("inf"):
            raise InputError(f"{name} > 0", str(value), "Typical: step 0.5, friction 0.02.")


def example_langevin() -> Sampler:
    """Return the instance the contract tests run."""
    return partial(langevin, warm_up=5.0, spacing=10.0)
