"""Tasks spread over devices and processes; the state is the same everywhere.

Only data placement is said here (``NamedSharding`` under plain ``jit``); XLA splits the work over
tasks and adds the all-reduce. ``jax.shard_map`` is not used: with its default check it sums *inner*
gradients over devices, so that adaptation silently mixes tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from kshot.core.errors import TaskError
from kshot.meta.task import Task

AXIS = "tasks"


def task_mesh(devices: Sequence | None = None) -> Mesh:
    """Return a mesh with the one axis ``"tasks"``.

    Args:
        devices: the devices to spread tasks over; all devices of all processes if None.
    """
    chosen = np.asarray(jax.devices() if devices is None else devices)
    return Mesh(chosen, (AXIS,), axis_types=(AxisType.Auto,))


def mesh_for(tasks: int) -> Mesh | None:
    """Return the mesh ``train`` uses by default: the most devices that divide the tasks evenly.

    ``None`` where one device is all there is. Several processes must all take part: then the number
    of tasks must be divisible by the number of devices.
    """
    devices = jax.devices()
    if jax.process_count() > 1:
        return check_divisible(tasks, task_mesh(devices))
    most = max(n for n in range(1, len(devices) + 1) if tasks % n == 0)
    return task_mesh(devices[:most]) if most > 1 else None


def check_divisible(tasks: int, mesh: Mesh) -> Mesh:
    """Return the mesh, or raise TaskError unless the tasks divide evenly over it."""
    if tasks % mesh.size:
        todo = "Take more or fewer tasks a step, or give train(mesh=task_mesh(devices))."
        raise TaskError(f"a multiple of {mesh.size} tasks, one share a device", f"{tasks}", todo)
    return mesh


def shard_tasks(tasks: Task, mesh: Mesh) -> Task:
    """Return a stack of tasks spread over the mesh's devices.

    In several processes each gives the same whole stack, and keeps only its own share of it.

    Raises:
        TaskError: the number of tasks is not a multiple of the number of devices.
    """
    mesh = check_divisible(jax.tree.leaves(tasks)[0].shape[0], mesh)
    return _place(tasks, NamedSharding(mesh, PartitionSpec(AXIS)))


def shard_feed(fed: PyTree, mesh: Mesh) -> PyTree:
    """Return batches for several steps, leaves ``[steps, tasks, …]``, spread over their tasks."""
    return _place(fed, NamedSharding(mesh, PartitionSpec(None, AXIS)))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """Return the tree with every array copied whole to each device of the mesh."""
    return _place(tree, NamedSharding(mesh, PartitionSpec()))


def constrain_tasks(tasks: Task, mesh: Mesh | None) -> Task:
    """Inside a traced program: spread tasks over the mesh; as they are without one."""
    if mesh is None:
        return tasks
    return jax.lax.with_sharding_constraint(tasks, NamedSharding(mesh, PartitionSpec(AXIS)))


def constrain_replicated(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Inside a traced program: keep every array whole on each device."""
    if mesh is None:
        return tree
    arrays, rest = eqx.partition(tree, eqx.is_array)
    arrays = jax.lax.with_sharding_constraint(arrays, NamedSharding(mesh, PartitionSpec()))
    return eqx.combine(arrays, rest)


def _place(tree: PyTree, sharding: NamedSharding) -> PyTree:
    def place(leaf: Any) -> Any:  # noqa: ANN401 - an array of any kind
        if not eqx.is_array_like(leaf):
            return leaf
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = place(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        # each process copies its own devices' part of the host's array: no data crosses processes.
        host = np.array(leaf, copy=True)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)
