"""Dynamics: the physics of both ensembles, runs that survive kills, and guards that hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.units import kB
from typer.testing import CliRunner

from kshot.atoms import Structure
from kshot.atoms.asedb import to_ase
from kshot.atoms.extxyz_write import write_extxyz
from kshot.atoms.files import read_labelled
from kshot.atoms.reading import BARE, Reading
from kshot.cli.main import app
from kshot.core.errors import CheckpointError, InputError, OptionError, OutputError
from kshot.md import Settings, UnstableError, run
from kshot.md.engine import Engine
from kshot.md.files import Files
from kshot.md.guards import Guard
from kshot.md.state import read_restart

WATER = Structure(
    np.array([8, 1, 1]), np.array([[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
)
BONDS = [(0, 1, 0.97), (0, 2, 0.97), (1, 2, 1.52)]


class Springs(Calculator):
    """Harmonic water: exact, and no JAX in the way."""

    implemented_properties = ("energy", "forces")

    def __init__(self, explode_after: int = 10**9) -> None:
        super().__init__()
        self.calls, self.explode_after = 0, explode_after

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        positions = self.atoms.positions
        energy, forces = 0.0, np.zeros_like(positions)
        for one, other, length in BONDS:
            apart = positions[one] - positions[other]
            distance = np.linalg.norm(apart)
            energy += 0.5 * 30 * (distance - length) ** 2
            pull = -30 * (distance - length) * apart / distance
            forces[one] += pull
            forces[other] -= pull
        if self.calls > self.explode_after:
            forces[1] *= 1e4
        self.results = {"energy": energy, "forces": forces}


def settings(**changes) -> Settings:
    return Settings(**{"ensemble": "nvt", "steps": 60, "every": 5, "seed": 3} | changes)


def contents(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in Files(out).appended.values()]


# --- physics


def test_nve_begins_at_the_temperature_without_drift_or_turning():
    engine = Engine(WATER, Springs(), settings(ensemble="nve"))
    state = engine.begin()
    assert engine.freedom == 3
    assert engine.temperature(state.momenta) == pytest.approx(300.0)
    np.testing.assert_allclose(state.momenta.sum(0), 0, atol=1e-12)
    centred = state.positions - np.average(state.positions, axis=0, weights=engine.masses)
    np.testing.assert_allclose(np.cross(centred, state.momenta).sum(0), 0, atol=1e-12)


def test_the_error_of_the_total_energy_is_quadratic_in_the_time_step(tmp_path):
    spreads = []
    for step in (0.8, 0.4):
        out = tmp_path / f"{step}.extxyz"
        asked = settings(ensemble="nve", timestep=step, steps=int(400 / step), every=1)
        run(WATER, Springs(), asked, out)
        total = Files(out).rows()[:, 2] + Files(out).rows()[:, 3]
        spreads.append(total.std())
    assert spreads[0] / spreads[1] == pytest.approx(4, rel=0.25)


def test_nve_holds_its_energy(tmp_path):
    out = tmp_path / "a.extxyz"
    summary = run(WATER, Springs(), settings(ensemble="nve", steps=4000, timestep=0.25), out)
    assert abs(summary.nve_drift_meV_per_atom_per_ps) < 0.5


def test_nvt_has_the_temperature_and_its_fluctuation(tmp_path):
    asked = settings(steps=12_000, every=10, friction=50.0)
    summary = run(WATER, Springs(), asked, tmp_path / "a.extxyz")
    kinetic = Files(tmp_path / "a.extxyz").rows()[100:, 3]
    # nine degrees of freedom: a gamma distribution; frames are correlated over some 20 fs
    assert kinetic.mean() == pytest.approx(4.5 * kB * 300, rel=0.06)
    assert kinetic.var() == pytest.approx(4.5 * (kB * 300) ** 2, rel=0.25)
    assert summary.temperature_mean_K == pytest.approx(300, rel=0.06)
    assert summary.nve_drift_meV_per_atom_per_ps is None


def test_isotopes_move_with_their_masses(tmp_path):
    heavy = WATER.replace(masses=np.array([15.999, 2.014, 2.014]))
    asked = settings(ensemble="nve", steps=1200, every=1, timestep=0.25)
    counts = []
    for name, structure in (("h", WATER), ("d", heavy)):
        run(structure, Springs(), asked, tmp_path / f"{name}.extxyz")
        potential = Files(tmp_path / f"{name}.extxyz").rows()[:, 2]
        spectrum = abs(np.fft.rfft(potential - potential.mean()))
        counts.append(np.average(np.arange(len(spectrum)), weights=spectrum**2))
    assert 1.2 < counts[0] / counts[1] < 1.5  # near the square root of two


def test_the_trajectory_is_read_back_with_predictions(tmp_path):
    run(WATER, Springs(), settings(), tmp_path / "a.extxyz")
    frames = list(read_labelled(tmp_path / "a.extxyz", Reading(keys=BARE)))
    assert len(frames) == 13
    assert [frame.structure.info["step"] for frame in frames] == list(range(0, 61, 5))
    for frame in frames[::4]:
        atoms = to_ase(frame.structure)
        atoms.calc = Springs()
        assert frame.labels.energy == atoms.get_potential_energy()


# --- runs that go on


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
@pytest.mark.parametrize("first", [1, 20, 33])
def test_a_run_that_goes_on_is_one_that_was_never_interrupted(tmp_path, ensemble, first):
    at_once, in_parts = tmp_path / "a.extxyz", tmp_path / "b.extxyz"
    run(WATER, Springs(), settings(ensemble=ensemble, steps=60), at_once)
    said: list[str] = []
    for steps in (first, 60):
        run(WATER, Springs(), settings(ensemble=ensemble, steps=steps), in_parts, say=said.append)
    assert contents(at_once) == contents(in_parts)
    assert said == [f"going on after step {first} of 60"]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from kshot.md import run
import kshot.md.run as module
from kshot.md import files
from test_md import Springs, WATER, settings
module.SECONDS_BETWEEN = 0.0
count, append = 0, files._append

def counted(path, text):
    global count
    count += 1
    if count == {kill}:
        with path.open("a") as file:
            file.write(text[: len(text) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    append(path, text)

files._append = counted
run(WATER, Springs(), settings(), Path({out!r}))
"""


@pytest.mark.parametrize("kill", [1, 2, 9, 24])
def test_a_run_that_is_killed_inside_a_write_goes_on(tmp_path, kill):
    whole, broken = tmp_path / "a.extxyz", tmp_path / "b.extxyz"
    run(WATER, Springs(), settings(), whole)
    script = KILLED.format(tests=str(Path(__file__).parent), kill=kill, out=str(broken))
    done = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    run(WATER, Springs(), settings(), broken)
    assert contents(whole) == contents(broken)


def test_a_run_that_is_done_does_nothing_more(tmp_path):
    out = tmp_path / "a.extxyz"
    run(WATER, Springs(), settings(), out)
    before, calculator = contents(out), Springs()
    summary = run(WATER, calculator, settings(), out)
    assert contents(out) == before
    assert calculator.calls == 0
    assert summary.steps_per_second is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"timestep": 0.25}, "timestep"),
        ({"temperature": 310.0, "seed": 1}, "temperature, seed"),
        ({"ensemble": "nve"}, "ensemble"),
    ],
)
def test_another_run_is_not_gone_on_with(tmp_path, changes, named):
    out = tmp_path / "a.extxyz"
    run(WATER, Springs(), settings(), out)
    before = contents(out)
    with pytest.raises(OutputError, match=f"another {named}"):
        run(WATER, Springs(), settings(**changes), out)
    with pytest.raises(OutputError, match="another model"):
        run(WATER, Springs(), settings(), out, model="other")
    with pytest.raises(OutputError, match="another structure"):
        run(WATER.replace(positions=WATER.positions + 0.1), Springs(), settings(), out)
    assert contents(out) == before
    run(WATER, Springs(), settings(**changes), out, force=True)
    assert contents(out) != before


def test_what_is_no_runs_is_left_alone(tmp_path):
    out = tmp_path / "a.extxyz"
    out.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        run(WATER, Springs(), settings(), out)
    assert out.read_text() == "precious"


def test_files_that_are_cut_short_or_damaged_are_named(tmp_path):
    out = tmp_path / "a.extxyz"
    run(WATER, Springs(), settings(), out)
    text = out.read_bytes()
    out.write_bytes(text[:-10])
    with pytest.raises(OutputError, match="cut short"):
        run(WATER, Springs(), settings(steps=80), out)
    out.write_bytes(text)
    restart = Files(out).restart
    good = restart.read_bytes()
    for bad in (b"", good[:200], good[:-30], b"PK" + bytes(100)):
        restart.write_bytes(bad)
        with pytest.raises(CheckpointError, match="no restart file of kshot"):
            run(WATER, Springs(), settings(steps=80), out)
        assert out.read_bytes() == text


# --- guards


def test_an_explosion_keeps_the_last_good_state_and_names_atoms(tmp_path):
    out = tmp_path / "a.extxyz"
    with pytest.raises(UnstableError, match=r"H1.*last good state, of step 20") as caught:
        run(WATER, Springs(explode_after=25), settings(every=20, steps=100), out)
    assert "a.restart.npz" in str(caught.value)
    state = read_restart(Files(out).restart).state
    assert state.step == 20
    assert np.isfinite(state.positions).all()
    summary = run(WATER, Springs(), settings(every=20, steps=100), out)  # by a sound potential
    assert summary.steps == 100


def test_atoms_inside_each_other_are_named():
    guard = Guard(WATER, 300.0)
    inside = WATER.positions.copy()
    inside[2] = inside[0] + 0.2
    with pytest.raises(UnstableError, match="O0, H2"):
        guard.require_sound(inside, np.zeros((3, 3)), 300.0)
    guard.require_sound(WATER.positions, np.zeros((3, 3)), 300.0)


def test_positions_that_are_no_numbers_are_named():
    lost = WATER.positions.copy()
    lost[1, 2] = np.nan
    with pytest.raises(UnstableError, match="H1"):
        Guard(WATER, 300.0).require_sound(lost, np.zeros((3, 3)), 300.0)


def test_broken_bonds_are_counted():
    guard = Guard(WATER, 300.0)
    assert guard.broken(WATER.positions) == []
    apart = WATER.positions.copy()
    apart[2] += 3.0
    assert guard.broken(apart) == [(0, 2)]


# --- options and the command line


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ensemble": "npt"}, "nve or nvt"),
        ({"steps": 0}, "steps of one or more"),
        ({"every": -1}, "every of one or more"),
        ({"timestep": 0.0}, "time step"),
        ({"timestep": 9.0}, "time step"),
        ({"temperature": 0.0}, "temperature"),
        ({"friction": 0.0}, "friction"),
        ({"temperature": float("nan")}, "temperature"),
    ],
)
def test_settings_that_cannot_be_run_are_refused(changes, says):
    with pytest.raises(OptionError, match=says):
        settings(**changes)


def test_a_step_too_long_for_hydrogen_is_said_to_be(tmp_path):
    said: list[str] = []
    run(WATER, Springs(), settings(timestep=1.5), tmp_path / "a.extxyz", say=said.append)
    assert "long for hydrogen" in said[0]
    heavy = WATER.replace(masses=np.array([15.999, 2.014, 2.014]))
    assert list(settings(timestep=1.5).doubts(heavy.masses)) == []


def test_the_command_runs_goes_on_and_prints_json(tmp_path):
    given, out = tmp_path / "water.extxyz", tmp_path / "md" / "a.extxyz"
    write_extxyz(given, [WATER])
    call = ["md", "bio-small", str(given), "-o", str(out), "--every", "5", "--json"]
    first = CliRunner().invoke(app, [*call, "--steps", "20"])
    assert first.exit_code == 0, first.output
    assert "going on after step 20" in CliRunner().invoke(app, [*call, "--steps", "30"]).stderr
    summary = json.loads(CliRunner().invoke(app, [*call, "--steps", "30"]).stdout)
    assert summary["frames"] == 7
    assert {"steps_per_second", "temperature_mean_K", "broken_bonds"} <= summary.keys()
    assert "nve_drift_meV_per_atom_per_ps" in summary
    short = ["md", "bio-small", str(given)]
    onto = CliRunner().invoke(app, [*short, "-o", str(given)])
    assert isinstance(onto.exception, OutputError)
    none = CliRunner().invoke(
        app, ["md", "bio-small", str(given), "-o", "b.extxyz", "--frame", "4"]
    )
    assert isinstance(none.exception, InputError)
    assert "1 frames" in str(none.exception)
