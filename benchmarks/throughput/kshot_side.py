"""What kshot does in a second, of one size; see ``run.py``.

Programs are compiled before anything is measured, several at a time; what is not ready when more
than half of the time has gone is left out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import measuring
import numpy as np
import optax
import problem
import sizes

from kshot.atoms import Labelled, Labels, Structure
from kshot.atoms.graph import Graph, Size, graph, rung
from kshot.core import trees
from kshot.core.errors import ModelFileError
from kshot.potentials import EnergyForces, Packed, Potential, energy_and_forces, potentials
from kshot.potentials.mace_torch import convert, read_export
from kshot.potentials.packed import Piece, pack, pieces

MIB = 2**20
TRACING, COMPILING = 0.5, 0.65  # parts of the time after which no more is begun, waited for


class Planned(NamedTuple):
    """A measurement whose program is being compiled.

    Args:
        about: what the row is of.
        program: what `jax.jit` made.
        measure: takes the compiled program, returns the row.
    """

    about: dict
    program: Future
    measure: Callable[[Callable], dict]


class Side:
    """A potential, its parameters and what it is measured on."""

    def __init__(self, given: problem.Problem, options) -> None:
        self.given, self.options, self.begun = given, options, time.monotonic()
        self.potential, self.params = network(given, options)
        self.count = trees.count(self.params)

    def planned(self, compilers: ThreadPoolExecutor) -> Iterator[Planned]:
        """Yield all measurements; tracing is done here, compiling in other threads."""
        for batch in self.options.batches:
            about = {"what": "train", "size": self.options.size, "batch": batch}
            yield self.plan(compilers, about, partial(self.training, batch))
        for name in self.options.molecules:
            for replicas in (1, sizes.REPLICAS) if name == sizes.MOLECULES[0] else (1,):
                about = {"what": "md", "size": self.options.size, "molecule": name}
                about |= {"way": "scan", "replicas": replicas}
                yield self.plan(compilers, about, partial(self.dynamics, name, replicas))

    def plan(self, compilers: ThreadPoolExecutor, about: dict, make: Callable) -> Planned:
        """Return a measurement; a failure to trace is kept for later."""
        try:
            if time.monotonic() > self.begun + TRACING * self.options.limit:
                raise TimeoutError("no time left")
            lowered, measure = make()
        except Exception as error:  # noqa: BLE001 - it becomes a row
            future: Future = Future()
            future.set_exception(error)
            return Planned(about, future, lambda _: {})
        return Planned(about, compilers.submit(lowered.compile), measure)

    def training(self, batch: int) -> tuple:
        """Return the lowered training step on batches of one size, and its measurement."""
        data = packed(self.given, self.potential.cutoff, batch)
        loss = EnergyForces(
            self.potential,
            energy_weight=sizes.ENERGY_WEIGHT,
            forces_weight=sizes.FORCES_WEIGHT,
        )
        optimiser = optax.adam(sizes.RATE)

        def step(state: tuple, pack: Packed) -> tuple:
            params, moments = state
            value, gradient = jax.value_and_grad(loss)(params, pack)
            updates, moments = optimiser.update(gradient, moments)
            return (optax.apply_updates(params, updates), moments), value

        state = self.params, optimiser.init(self.params)
        lowered = jax.jit(step, donate_argnums=0).lower(state, data[0])
        return lowered, partial(self.trained, state, data)

    def trained(self, state: tuple, host: list[Packed], program) -> dict:
        """Return the row of a training step."""
        data = [jax.tree.map(jnp.asarray, pack) for pack in host]
        self.state = jax.tree.map(jnp.copy, state)
        losses = []

        def call(done: int) -> None:
            self.state, self.value = program(self.state, data[done % len(data)])
            if done == 0:
                losses.append(float(self.value))

        rates = measuring.calls_per_second(
            call, lambda: jax.block_until_ready(self.state), self.options.seconds, len(data)
        )
        batch = data[0].energy.shape[1]
        room = data[0].graph.size
        last = float(self.value)
        if not np.isfinite([losses[0], last]).all():
            raise FloatingPointError(f"losses {losses[0]} and {last}")
        return {
            "per_second": [rate * batch for rate in rates],
            "loss": losses[0],
            "last_loss": last,
            "parameters": self.count,
            "atoms": int(host[0].felt.sum()),
            "edges": int(host[0].graph.edges[0]),
            "room": [room.atoms, room.edges],
            **memory(program),
        }

    def dynamics(self, name: str, replicas: int) -> tuple:
        """Return lowered molecular dynamics of one molecule, and its measurement."""
        given = self.given.molecules[name]
        whole = graph(Structure(given.numbers, given.positions), sizes.EVERYONE)
        masses = jnp.asarray(given.masses, jnp.float32)[:, None]
        run = partial(verlet, self.potential, whole, masses)
        positions = jnp.asarray(whole.positions)
        if replicas > 1:
            run = jax.vmap(run, in_axes=(None, 0))
            positions = jnp.stack([positions] * replicas)
        lowered = jax.jit(run).lower(self.params, positions)
        return lowered, partial(self.simulated, positions, replicas)

    def simulated(self, positions: jax.Array, replicas: int, program) -> dict:
        """Return the row of molecular dynamics."""
        energy, moved = program(self.params, positions)
        if not np.isfinite(moved).all():
            raise FloatingPointError("positions are not finite")

        def call(_: int) -> None:
            self.value = program(self.params, positions)

        rates = measuring.calls_per_second(
            call, lambda: jax.block_until_ready(self.value), self.options.seconds, 1
        )
        return {
            "per_second": [rate * sizes.MD_STEPS * replicas for rate in rates],
            "energy": float(np.ravel(energy)[0]),
            "moved": float(np.abs(moved - positions).max()),
        }


def network(given: problem.Problem, options) -> tuple[Potential, dict]:
    """Return the potential and its parameters: mace-torch's, if it wrote them."""
    if options.weights and options.weights.exists():
        try:
            return imported(options)
        except ModelFileError as error:
            print(f"weights of its own: {error}", file=sys.stderr, flush=True)
    made = potentials.get("mace")(
        given.elements,
        size="small",
        cutoff=given.cutoff,
        neighbours=given.neighbours,
        config=sizes.fields(options.size),
    )
    return made, made.init(jax.random.key(0))


def imported(options) -> tuple[Potential, dict]:
    """Return the potential with the parameters that mace-torch drew."""
    with jax.default_device(jax.devices("cpu")[0]):
        found = convert(read_export(options.weights))
    params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float32), found.params)
    return found.potential, params


def packed(given: problem.Problem, cutoff: float, batch: int) -> list[Packed]:
    """Return all batches of a size, each padded to the room that the largest needs."""
    rows = given.draws[batch]
    wanted = np.unique(rows)
    frames = [given.frames[index] for index in wanted]
    labelled = [
        Labelled(Structure(frame.numbers, frame.positions), Labels(frame.energy, frame.forces))
        for frame in frames
    ]
    ready = dict(zip(wanted, pieces(labelled, cutoff, np.zeros(len(frames))), strict=True))
    chosen = [[ready[index] for index in row] for row in rows]
    room = Size(*(rung(max(held(row, axis) + 1 for row in chosen)) for axis in (0, 1)))
    return [pack(row, room, batch, cutoff, np.float32) for row in chosen]


def held(chosen: list[Piece], axis: int) -> int:
    """Return the atoms (axis 0) or edges (axis 1) of pieces."""
    return sum(piece.graph.size[axis] for piece in chosen)


def verlet(
    potential: Potential, whole: Graph, masses: jax.Array, params: dict, positions: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the energy at the beginning, and the positions after so many steps from rest."""
    kick = 0.5 * sizes.TIMESTEP * sizes.ACCELERATION / masses

    def at(positions: jax.Array) -> tuple[jax.Array, jax.Array]:
        return energy_and_forces(potential, params, whole._replace(positions=positions))

    def step(state: tuple, _: None) -> tuple:
        positions, velocities, forces = state
        velocities = velocities + kick * forces
        positions = positions + sizes.TIMESTEP * velocities
        energy, forces = at(positions)
        return (positions, velocities + kick * forces, forces), energy

    first, forces = at(positions)
    state = positions, jnp.zeros_like(positions), forces
    (moved, _, _), _ = jax.lax.scan(step, state, length=sizes.MD_STEPS)
    return first, moved


def memory(program) -> dict:
    """Return what a program needs as the compiler plans it, and the most this process had."""
    plan = program.memory_analysis()
    parts = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    row = {"memory_mib": (parts - plan.alias_size_in_bytes) / MIB}
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        row["process_peak_mib"] = stats["peak_bytes_in_use"] / MIB
    return row


def main() -> None:
    """Measure what the command line asks for."""
    parser = measuring.arguments(__doc__.splitlines()[0])
    parser.add_argument("--compilers", type=int, default=min(8, os.cpu_count() or 1))
    options = parser.parse_args()
    precision = "tensorfloat32" if options.tf32 else "highest"
    jax.config.update("jax_default_matmul_precision", precision)
    device = jax.local_devices()[0]
    version = {"jax": jax.__version__, "device": device.device_kind}
    measuring.say(what="device", platform=device.platform, **version)
    side = Side(problem.read(options.problem), options)
    compilers = ThreadPoolExecutor(options.compilers)
    everything = list(side.planned(compilers))
    left = side.begun + COMPILING * options.limit - time.monotonic()
    wait([planned.program for planned in everything], max(left, 0.0))
    compilers.shutdown(wait=False, cancel_futures=True)
    for planned in everything:
        measuring.attempt(partial(measured, planned), **planned.about)
    os._exit(0)  # a compiler that is still at work cannot be stopped otherwise


def measured(planned: Planned) -> dict:
    """Return the row of a measurement whose program is ready."""
    if planned.program.cancelled() or not planned.program.done():
        raise TimeoutError("not compiled in time")
    return planned.measure(planned.program.result())


if __name__ == "__main__":
    main()
