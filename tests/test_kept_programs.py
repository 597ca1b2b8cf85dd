"""Programs kept between runs: traced once, never trusted when damaged, never in anybody's way."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kshot.core import kept_programs
from kshot.core.cache import private_folder
from kshot.core.kept_programs import Settled, check_once, run_kept

traced = []


def parabola(scale: float, x: dict, y: np.ndarray) -> tuple:
    traced.append(scale)
    return scale * x["a"] ** 2 + y, jnp.sum(y)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    traced.clear()
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path))
    new_run(monkeypatch)
    return tmp_path / "traced"


def new_run(monkeypatch):
    private_folder.cache_clear()
    monkeypatch.setattr(kept_programs, "_ready", {})


def asked(count: int = 3, about: str | None = "2", scale: float = 2.0):
    x = {"a": np.arange(count, dtype=np.float32)}
    return run_kept(parabola, [Settled(scale, about)], x, np.ones(count, np.float32))


def right(found, count: int = 3):
    np.testing.assert_array_equal(found[0], 2 * np.arange(count) ** 2 + 1)
    assert found[1] == count
    return True


def test_another_run_traces_nothing(folder, monkeypatch):
    assert right(asked())
    assert right(asked())
    assert len(traced) == 1
    new_run(monkeypatch)
    assert right(asked())
    assert len(traced) == 1
    assert len(list(folder.iterdir())) == 1


def test_what_differs_is_a_program_of_its_own(folder, monkeypatch):
    assert right(asked())
    assert right(asked(4), 4)
    assert float(asked(about="3", scale=3.0)[0][1]) == 4.0
    assert len(traced) == len(list(folder.iterdir())) == 3
    new_run(monkeypatch)
    monkeypatch.setattr(kept_programs, "code_digest", lambda: "other code")
    assert right(asked())
    assert len(traced) == 4


@pytest.mark.parametrize("cut", [0, 40, -1])
def test_a_damaged_file_is_made_anew(folder, monkeypatch, cut):
    asked()
    (path,) = folder.iterdir()
    before = path.read_bytes()
    path.write_bytes(before[:cut] + b"x")
    new_run(monkeypatch)
    assert right(asked())
    assert len(traced) == 2
    assert path.read_bytes()[:32] == kept_programs._sum_of(path.read_bytes()[32:])


@pytest.mark.parametrize(("cache", "about"), [("off", "2"), ("", None)])
def test_nothing_is_kept_where_nothing_is_to_be(folder, monkeypatch, cache, about):
    if cache:
        monkeypatch.setenv("KSHOT_CACHE", cache)
    assert right(asked(about=about))
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_costs_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "file"))
    assert right(asked())


def test_old_files_go_first(folder, monkeypatch):
    monkeypatch.setattr(kept_programs, "MOST_FILES", 2)
    for count in (2, 3, 4):
        asked(count)
    assert len(list(folder.iterdir())) == 2


def test_a_check_that_passed_is_not_made_again(monkeypatch):
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("not yet")

    with pytest.raises(ValueError, match="not yet"):
        check_once("this", check)
    for about in ("this", "this", "that"):
        check_once(about, check)
    assert len(calls) == 3
    monkeypatch.setattr(kept_programs, "code_digest", lambda: "other code")
    check_once("this", check)
    assert len(calls) == 4


def test_settings_that_shape_a_program_are_in_its_key(folder, monkeypatch):
    assert right(asked())
    with jax.default_matmul_precision("highest"):
        new_run(monkeypatch)
        assert right(asked())
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", "") + " ")
    new_run(monkeypatch)
    assert right(asked())
    monkeypatch.setattr(kept_programs, "_device", lambda: "another card")
    new_run(monkeypatch)
    assert right(asked())
    assert len(traced) == len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("package", ["e3nn-jax", "flax", "mlip", "jax", "equinox"])
def test_versions_of_all_that_traces_are_in_the_digest(monkeypatch, package):
    digest = kept_programs.code_digest.__wrapped__
    before, version = digest(), kept_programs.version
    monkeypatch.setattr(
        kept_programs, "version", lambda name: "9.9.9" if name == package else version(name)
    )
    assert digest() != before


def test_programs_are_kept_where_only_this_user_is(folder):
    assert right(asked())
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o702])
def test_a_folder_that_others_may_write_to_is_not_trusted(folder, caplog, mode):
    folder.mkdir()
    folder.chmod(mode)
    assert right(asked())
    assert not list(folder.iterdir())
    assert "belongs to others" in caplog.text
    assert folder.stat().st_mode & 0o777 == mode


def test_a_folder_of_someone_else_is_not_trusted(folder, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert right(asked())
    assert not list(folder.iterdir())
