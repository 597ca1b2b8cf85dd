"""What every sampler shares: its form, the surface it walks on, and what its frames record."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.errors import InputError
from kshot.core.seeds import named_generator
from kshot.families.samplers.accept import Accept
from kshot.families.samplers.isotopes import isotopes_of

P = ParamSpec("P")
R = TypeVar("R")


@runtime_checkable
class Sampler(Protocol):
    """The form of every sampler; see `kshot.families.samplers`."""

    def __call__(
        self,
        structure: Structure,
        labeler: Labeler | None,
        n: int,
        *,
        temperature: float,
        seed: int,
        accept: Accept = ...,
    ) -> list[Structure] | Failure:
        """Return ``n`` configurations of one scaffold.

        Args:
            structure: the scaffold; its masses are those of its isotopes.
            labeler: the engine; None for a sampler that asks none.
            n: how many frames.
            temperature: in K.
            seed: the same seed gives the same frames.
            accept: which frames are kept. Samplers have further options of their own.
        """
        ...


class NoLabelError(Exception):
    """The engine gave no label. It never leaves this package: `failures_are_values` catches it."""

    def __init__(self, failure: Failure) -> None:
        """Keep the value it stands for."""
        super().__init__(failure.detail)
        self.failure = failure


def failures_are_values(function: Callable[P, R]) -> Callable[P, R | Failure]:
    """Make ``function`` return the failure of a label instead of raising NoLabelError."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R | Failure:
        try:
            return function(*args, **kwargs)
        except NoLabelError as stop:
            return stop.failure

    return wrapped


class Surface:
    """The potential energy surface of one scaffold, as an engine sees it.

    Args:
        structure: everything but the positions: elements, charge, spin.
        labeler: the engine.
    """

    def __init__(self, structure: Structure, labeler: Labeler) -> None:
        """Keep both."""
        self.structure, self.labeler = structure, labeler

    def __call__(
        self, positions: Float64[np.ndarray, "atoms 3"]
    ) -> tuple[float, Float64[np.ndarray, "atoms 3"]]:
        """Return energy (eV) and forces (eV/Å); raise NoLabelError where there is no label."""
        labels = self.labeler.label(self.structure.replace(positions=positions))
        if isinstance(labels, Failure):
            raise NoLabelError(labels)
        if not (np.isfinite(labels.energy) and np.isfinite(labels.forces).all()):
            raise NoLabelError(Failure("unphysical", "energy or forces are not finite"))
        return labels.energy, np.array(labels.forces)


class Recorder:
    """Writes into each frame where it comes from.

    Args:
        structure: the scaffold; frames inherit all of it but positions.
        sampler: its name.
        temperature: in K.
        seed: of the call.
        labeler: the engine that drove it, if any.
    """

    def __init__(
        self,
        structure: Structure,
        sampler: str,
        temperature: float,
        seed: int,
        labeler: Labeler | None = None,
    ) -> None:
        """Compose what all frames have in common."""
        self._structure = structure
        isotopes = isotopes_of(structure)
        nuclei = f"-{zlib.crc32(isotopes.encode()):08x}" if isotopes else ""
        # Members, temperatures and isotopes drawn with one seed share no random number: else the
        # frames of 600 K would be those of 300 K, a little larger.
        self._stem = f"{sampler}-{structure.key[:8]}{nuclei}-{temperature:g}K-{seed}"
        self._seed = int(seed)
        self._common: dict[str, str | int | float | bool] = {
            **structure.info,
            "sampler": sampler,
            "temperature": float(temperature),
            "seed": int(seed),
            "isotopes": isotopes,
        }
        if labeler is not None:
            self._common["sampled_with"] = str(labeler.fingerprint)

    def stream(self, run: int = 0) -> np.random.Generator:
        """Return the random numbers of one run of this call."""
        return named_generator(self._seed, self._stem, run)

    def frame(
        self,
        positions: Float64[np.ndarray, "atoms 3"],
        trajectory: int,
        time: float = 0.0,
        **more: str | int | float | bool,
    ) -> Structure:
        """Return one frame.

        Args:
            positions: in Å.
            trajectory: which run of this call; independent draws are runs of their own.
            time: within the run, in fs.
            more: further entries of its ``info``.
        """
        own = {"trajectory": f"{self._stem}-{trajectory}", "time": float(time)}
        return self._structure.replace(positions=positions, info={**self._common, **own, **more})


def check_request(
    structure: Structure, n: int, temperature: float, *, coldest: float = 0.0
) -> None:
    """Refuse what no sampler can do, before anything is paid for.

    Args:
        structure: the scaffold.
        n: how many frames are wanted.
        temperature: in K.
        coldest: the lowest temperature the sampler can do, in K.

    Raises:
        InputError: no frames asked for, too cold a temperature, or a periodic structure.
    """
    if n < 1:
        raise InputError("n ≥ 1 frames", str(n), "Ask for at least one.")
    if not coldest <= temperature < float("inf"):
        todo = "Give kelvin; only quantum sampling goes down to 0 K."
        raise InputError(f"a temperature ≥ {coldest:g} K", f"{temperature} K", todo)
    if structure.is_periodic:
        todo = "Cut a cluster out of the cell first."
        raise InputError("a molecule", "a periodic structure", todo)


def need_engine(labeler: Labeler | None, sampler: str) -> Labeler:
    """Return the engine, or raise InputError where there is none."""
    if labeler is None:
        todo = "Pass one, such as kshot.labelers' gfn2 or samplers.force_field.ForceField."
        raise InputError(f"a labeler to drive {sampler}", "None", todo)
    return labeler
