"""Where is kept what is the same from run to run: compiled programs before all."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import platform
import stat
from collections.abc import Callable
from pathlib import Path

from kshot.core.whole import whole

PRIVATE = 0o700
LEAST_SECONDS = 0.0  # networks set up their tables by hundreds of tiny programs: seconds in all


def cache_folder() -> Path | None:
    """Return kshot's folder in the user's cache: ``$KSHOT_CACHE``, else ``~/.cache/kshot``.

    ``KSHOT_CACHE=off`` returns None: nothing is kept. ``$XDG_CACHE_HOME`` stands for ``~/.cache``.
    """
    chosen = os.environ.get("KSHOT_CACHE", "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "kshot"
    except RuntimeError:  # an account without a home
        return None


def kept_rows_folder() -> Path | None:
    """Return where derivatives are kept that many adaptations need; None if nowhere."""
    folder = cache_folder()
    return None if folder is None else folder / "rows"


@functools.cache
def private_folder(folder: Path) -> bool:
    """Make a folder that only this user can enter; return whether it is one, or say why not."""
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        status = folder.stat()
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid == os.getuid() and not others:
            folder.chmod(PRIVATE)
            return True
    except OSError:
        return False
    words = f"{folder} belongs to others, or they may write to it: no program is kept there"
    logging.getLogger(__name__).warning("%s (chmod 700, or set KSHOT_CACHE)", words)
    return False


def keep_file(path: Path, write: Callable[[Path], object], most: int) -> None:
    """Keep a file in a folder of at most so many, of which the oldest go first.

    Args:
        path: where it is to be, as a whole or not at all.
        write: writes it to the path that it is given.
        most: of files in the folder.

    A folder that cannot be written costs nothing but time.
    """
    with contextlib.suppress(OSError):
        with whole(path) as part:
            write(part)
        files = sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime_ns)
        for old in files[:-most]:
            old.unlink(missing_ok=True)


def use_compile_cache(folder: Path | None = None) -> Path | None:
    """Keep compiled programs on disk from here on; return where, or None if nowhere.

    A cache that is set up already (``JAX_COMPILATION_CACHE_DIR``, or a program that uses kshot)
    stays as it is, and a folder that cannot be written costs nothing but time.

    Args:
        folder: where; ``jax/<kind of processor>`` in `cache_folder` if None.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    # jax makes these attributes at run time
    present: str | None = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if present:
        return Path(present)
    base = cache_folder()
    if folder is None and base is None:
        return None
    # programs are for one kind of processor, and homes are shared between many
    folder = folder or (base or Path()) / "jax" / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # whoever has compiled anything before has settled that there is no cache
    compilation_cache.reset_cache()
    return folder


def _processor() -> str:
    """Return a short name for what the processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    kinds = ("model name", "flags", "Features", "CPU part")
    words = sorted({line for line in lines if line.startswith(kinds)})
    digest = hashlib.sha256("\n".join(words or [platform.processor()]).encode()).hexdigest()
    return f"{platform.machine()}-{digest[:8]}"
