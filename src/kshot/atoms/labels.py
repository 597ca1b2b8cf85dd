"""What a quantum-mechanical calculation says about a structure, and who said it."""

from __future__ import annotations

import abc
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64

from kshot.atoms.structure import Structure

Reason = Literal[
    "not converged",  # the program says so, or hides it
    "unphysical",  # it converged to something no molecule does
    "refused",  # the program does not do such a structure
    "time",
    "memory",
    "crash",  # its process died
    "set aside",  # it killed one worker after another
]


@dataclass(frozen=True)
class Fingerprint:
    """A level of theory down to the program's version: labels of two of them never mix silently.

    Args:
        program: such as ``tblite``.
        version: of the program.
        method: such as ``GFN2-xTB`` or ``wb97x-d3bj``.
        basis: such as ``def2-svp``; may be empty.
        settings: everything else that moves a number; plain JSON values.
    """

    program: str
    version: str
    method: str
    basis: str = ""
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One line of JSON with sorted keys: the form in which it is stored."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def digest(self) -> str:
        """Twelve characters that stand for the whole."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def __hash__(self) -> int:
        """Hash the stored form; the settings are a mapping, which has no hash."""
        return hash(self.text)

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """Return the fingerprint that ``text`` is the stored form of."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        """Return a short name for people, such as ``wb97x-d3bj/def2-svp (pyscf 2.14.0)``."""
        level = f"{self.method}/{self.basis}" if self.basis else self.method
        return f"{level} ({self.program} {self.version})"


@dataclass(frozen=True, eq=False)
class Labels:
    """Energy and forces of one structure.

    Args:
        energy: total energy in eV.
        forces: minus its gradient, in eV/Å.
        stress: in eV/Å³ with ASE's sign, of a periodic structure; None if not computed.
        fingerprint: of the engine; None if nobody knows.
    """

    energy: float
    forces: Float64[np.ndarray, "atoms 3"]
    stress: Float64[np.ndarray, "3 3"] | None = None
    fingerprint: Fingerprint | None = None

    def __post_init__(self) -> None:
        """Own the arrays."""
        for name in ("forces", "stress"):
            if getattr(self, name) is not None:
                array = np.array(getattr(self, name), np.float64)
                array.setflags(write=False)
                object.__setattr__(self, name, array)


@dataclass(frozen=True)
class Failure:
    """A calculation that gave no label: a value, never an exception.

    Args:
        reason: what kind of failure.
        detail: the program's own words.
    """

    reason: Reason
    detail: str


class Labelled(NamedTuple):
    """A structure with its labels: one frame of a data set."""

    structure: Structure
    labels: Labels


class Labeler(abc.ABC):
    """A quantum-mechanical engine, or what stands for one."""

    @property
    @abc.abstractmethod
    def fingerprint(self) -> Fingerprint:
        """What its labels are; must cost nothing."""

    @abc.abstractmethod
    def label(self, structure: Structure) -> Labels | Failure:
        """Return energy and forces, or why there are none.

        Numerical failures are values. Errors are raised only where the caller is wrong: an unknown
        method, a program that is not installed.
        """
