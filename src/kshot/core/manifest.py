"""The manifest every artifact carries: what it is, from what it was made, and by which code."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SCHEMA = 1


def code_versions(
    packages: tuple[str, ...] = ("kshot", "jax", "jaxlib", "optax"),
) -> dict[str, str]:
    """Return the versions of Python and of the packages that decide numbers."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(frozen=True)
class Manifest:
    """Provenance of one artifact.

    Args:
        kind: what the artifact is (``"metrics"``, ``"checkpoint"``, ``"evaluation"``, …).
        config: the options it was made with; JSON values only.
        seed: the seed of the run, if it had one.
        parents: sha256 of each artifact it was made from, by name.
        units: the unit of each physical quantity in it; empty for unit-free artifacts.
        citations: what to cite when the artifact is used.
    """

    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    parents: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    citations: tuple[str, ...] = ()
    schema: int = SCHEMA
    versions: dict[str, str] = field(default_factory=code_versions)

    def to_json(self) -> str:
        """Return the manifest as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)


def sha256(path: Path) -> str:
    """Return the hash of a file, as parents are named by."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
