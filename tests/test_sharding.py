"""Tasks spread over devices and over processes: the same training as on one device."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kshot import meta
from kshot.core.errors import TaskError
from kshot.meta import problems

WORKER = Path(__file__).with_name("sharded_training.py")


def start(*arguments, devices=1):
    env = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, "-W", "error", WORKER, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def finish(process):
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return finish(start("alone", tmp_path_factory.mktemp("alone")))


def test_four_devices_train_as_one(alone, tmp_path):
    spread = finish(start("alone", tmp_path, devices=4))
    assert spread["devices"] == 4
    assert spread["all_reduce"]
    assert not alone["all_reduce"]
    np.testing.assert_allclose(spread["gradient"], alone["gradient"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(spread["params"], alone["params"], rtol=1e-6, atol=1e-7)


def test_two_processes_train_as_one(alone, tmp_path):
    port = free_port()
    both = [start(f"127.0.0.1:{port}", tmp_path, rank) for rank in (0, 1)]
    first, second = map(finish, both)
    assert first["devices"] == 2
    assert first["params"] == second["params"]
    np.testing.assert_allclose(first["params"], alone["params"], rtol=1e-6, atol=1e-7)
    assert first["gap"] == pytest.approx(alone["gap"], rel=1e-4)


def test_tasks_that_do_not_divide():
    tasks = problems.quadratics(jnp.ones(3), jnp.ones(3))
    mesh = meta.task_mesh(jax.devices() * 2)
    with pytest.raises(TaskError, match="a multiple of 2 tasks"):
        meta.shard_tasks(tasks, mesh)
