"""A run of dynamics from its beginning, or from where it was, to its last step.

A run that is killed goes on by the same call, and its files are those of a run that was never
interrupted. A run that is done goes on if more steps are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kshot.atoms import Structure
from kshot.core.bars import bar
from kshot.md.engine import Engine
from kshot.md.files import Files
from kshot.md.guards import Guard, UnstableError
from kshot.md.settings import Settings
from kshot.md.state import State

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

SECONDS_BETWEEN = 20.0  # two restart files
STRIDE = 20  # steps between two looks at the molecule
FS_PER_NS, SECONDS_PER_DAY = 1e6, 86_400


class Summary(NamedTuple):
    """What came of a run.

    Args:
        steps: done in all.
        frames: in the trajectory.
        steps_per_second: of this call, without the first steps, which compile; None if there were
            no others.
        ns_per_day: likewise.
        temperature_mean_K: over the frames.
        nve_drift_meV_per_atom_per_ps: slope of the total energy; None but in nve.
        broken_bonds: the most that a frame has lost of the bonds of the beginning.
    """

    steps: int
    frames: int
    steps_per_second: float | None
    ns_per_day: float | None
    temperature_mean_K: float  # noqa: N815 - the unit keeps its letter
    nve_drift_meV_per_atom_per_ps: float | None  # noqa: N815
    broken_bonds: int


def run(
    structure: Structure,
    calculator: Calculator,
    settings: Settings,
    out: str | Path,
    *,
    model: str = "",
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Run dynamics, or go on with a run.

    Args:
        structure: where it begins.
        calculator: energies and forces, see `kshot.potentials.model.Model.calculator`.
        settings: of the run.
        out: the trajectory in extended XYZ; table and restart file stand beside it.
        model: digest of the model, so that no run goes on with another one.
        force: begin anew where files are there.
        say: called with what a user should know.

    Raises:
        OutputError: files of another run are there, or some that are no run's.
        CheckpointError: the restart file is damaged.
        UnstableError: the molecule fell apart; its last good state is in the restart file.
    """
    files, engine = Files(Path(out)), Engine(structure, calculator, settings)
    for doubt in settings.doubts(engine.masses):
        say(doubt)
    identity = _identity(structure, settings, model)
    state = None if force else files.resume(identity)
    if state is None:
        state = engine.begin()
        files.begin(state, identity)
    else:
        say(f"going on after step {state.step} of {settings.steps}")
        engine.go_on(state)
    state, speed = _Run(structure, settings, files, engine, identity).go(state)
    return _summary(files, settings, state, speed)


class _Run:
    """What a run needs from one step to the next."""

    def __init__(
        self,
        structure: Structure,
        settings: Settings,
        files: Files,
        engine: Engine,
        identity: dict[str, Any],
    ) -> None:
        self._structure, self._settings = structure, settings
        self._files, self._engine, self._identity = files, engine, identity
        self._guard = Guard(structure, settings.temperature)

    def go(self, state: State) -> tuple[State, float | None]:
        """Move to the last step, and return where that is, and the steps per second."""
        if state.step == 0:
            self._write_frame(state)
        watch = _Watch(state.step)
        with bar("dynamics", self._settings.steps) as advance:
            advance(state.step, "compiling")
            while state.step < self._settings.steps:
                before, state = state, self._moved(state)
                if state.step % self._settings.every == 0:
                    self._write_frame(state)
                kelvin = self._engine.temperature(state.momenta)
                advance(state.step - before.step, f"{kelvin:.0f} K")
                if watch.is_time_to_keep(state.step):
                    self._files.keep(state, self._identity)
        self._files.keep(state, self._identity)
        return state, watch.speed(state.step)

    def _moved(self, state: State) -> State:
        """Return the next state that is looked at.

        Raises:
            UnstableError: it is no molecule's; the last good one is kept.
        """
        settings = self._settings
        next_frame = settings.every - state.step % settings.every
        after = self._engine.advance(min(STRIDE, next_frame, settings.steps - state.step))
        try:
            kelvin = self._engine.temperature(after.momenta)
            self._guard.require_sound(after.positions, after.forces, kelvin)
        except UnstableError as error:
            self._files.keep(state, self._identity)
            raise UnstableError(
                f"at step {after.step}, {after.step * settings.timestep:g} fs: {error}. The last "
                f"good state, of step {state.step}, is in {self._files.restart}. Adapt to more "
                "labels, or take a shorter time step."
            ) from None
        return after

    def _write_frame(self, state: State) -> None:
        kelvin = self._engine.temperature(state.momenta)
        fs = state.step * self._settings.timestep
        info = {"step": state.step, "time_fs": fs, "temperature_K": kelvin}
        structure = self._structure.replace(
            positions=state.positions, info={**self._structure.info, **info}
        )
        kinetic = self._engine.kinetic(state.momenta)
        broken = len(self._guard.broken(state.positions))
        row = (state.step, fs, state.energy, kinetic, kelvin, broken)
        self._files.write_frame(structure, state, row)


class _Watch:
    """Tells when to keep a state, and how fast steps are once the first ones have compiled."""

    def __init__(self, step: int) -> None:
        self._begun_at, self._begun, self._kept = step, 0.0, time.monotonic()
        self._first = True

    def is_time_to_keep(self, step: int) -> bool:
        now = time.monotonic()
        if self._first:
            self._begun_at, self._begun, self._first = step, now, False
        if now - self._kept < SECONDS_BETWEEN:
            return False
        self._kept = now
        return True

    def speed(self, step: int) -> float | None:
        steps, seconds = step - self._begun_at, time.monotonic() - self._begun
        return None if self._first or not steps else steps / max(seconds, 1e-9)


def _identity(structure: Structure, settings: Settings, model: str) -> dict[str, Any]:
    """Return what decides every number of a run, its length left out."""
    masses = None if structure.masses is None else structure.masses.tolist()
    plain = {name: value for name, value in vars(settings).items() if name != "steps"}
    return {**plain, "structure": structure.key, "masses": masses, "model": model}


def _summary(files: Files, settings: Settings, state: State, speed: float | None) -> Summary:
    rows = files.rows()
    _, fs, potential, kinetic, kelvin, broken = rows.T
    drift = None
    if settings.ensemble == "nve" and len(rows) > 2:
        total = potential + kinetic
        drift = float(np.polyfit(fs / 1e3, total - total[0], 1)[0]) * 1e3 / len(state.positions)
    per_day = None if speed is None else speed * settings.timestep * SECONDS_PER_DAY / FS_PER_NS
    return Summary(
        state.step, len(rows), speed, per_day, float(kelvin.mean()), drift, int(broken.max())
    )
