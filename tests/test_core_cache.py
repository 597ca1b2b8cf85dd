"""The compile cache: on by default, in the user's folder, and never in anybody's way."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

from kshot.core.cache import cache_folder, use_compile_cache


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"KSHOT_CACHE": "/some/where"}, Path("/some/where")),
        ({"KSHOT_CACHE": "~/x"}, Path.home() / "x"),
        ({"KSHOT_CACHE": "off"}, None),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/kshot")),
        ({}, Path.home() / ".cache" / "kshot"),
    ],
)
def test_where_the_cache_is(monkeypatch, environment, folder):
    for name in ("KSHOT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == folder


def test_a_cache_that_is_set_up_already_stays(tmp_path):
    before = jax.config.jax_compilation_cache_dir  # conftest's
    assert use_compile_cache(tmp_path / "mine") == Path(before)
    assert not (tmp_path / "mine").exists()


PROGRAM = """
import jax, jax.numpy as jnp
from kshot.core.cache import use_compile_cache
jax.jit(jnp.sin)(1.0)  # whoever compiles first must not spoil it
print(use_compile_cache())
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
seen = []
jax.monitoring.register_event_listener(lambda event, **_: seen.append(event))
jax.jit(lambda x: jnp.cos(x) @ x)(jnp.ones((3, 3)))
print(any("cache_hits" in event for event in seen))
"""


def run(folder: Path) -> list[str]:
    environment = {"KSHOT_CACHE": str(folder), "PATH": "", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_second_process_finds_what_the_first_compiled(tmp_path):
    where, hit = run(tmp_path / "cache")
    assert Path(where).parent == tmp_path / "cache" / "jax"
    assert hit == "False"
    assert list(Path(where).iterdir())
    assert run(tmp_path / "cache") == [where, "True"]


def test_a_folder_that_cannot_be_made_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file") == ["None", "False"]
