"""A model of PyTorch as a start: adapted where it lives, its own code untouched.

    from kshot.potentials import torch_bridge

    start = torch_bridge.start(module, energy, elements)
    adapted = kshot.adapt(start, frames)
    torch_bridge.write(adapted.model, "mine.npz")
    e0s = torch_bridge.read(module, "mine.npz")  # in another process, say

PyTorch is imported here alone, and only if asked for.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import numpy as np
from jaxtyping import Float

from kshot.atoms.graph import Graph
from kshot.core.arrays_file import read_arrays
from kshot.core.errors import DataError
from kshot.core.registry import missing_extra
from kshot.core.whole import whole
from kshot.potentials.host import HostPotential
from kshot.potentials.model import Model, Seen

Params = Mapping[str, np.ndarray]
Tensor = Module = Any
"""Of PyTorch, which nobody has to have installed for types to be checked."""
E0 = "e0 of element "


def _torch() -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise missing_extra("a model of PyTorch", error.name, "torch") from error


@runtime_checkable
class Energy(Protocol):
    """What a user writes: a structure's energy by the module, differentiable in positions."""

    def __call__(self, numbers: Tensor, positions: Tensor, charge: int, total_spin: int) -> Tensor:
        """Return the energy in eV, a scalar, of atomic numbers and positions in Å."""
        ...


class TorchPotential(HostPotential):
    """A module of PyTorch behind the interface of kshot.

    Args:
        elements: atomic numbers it knows, ascending.
        cutoff: in Å; nothing depends on it.
        module: whose parameters move; it holds those that it was asked about last.
        energy: by this module.
    """

    elements: tuple[int, ...]
    cutoff: float
    module: Any = eqx.field(static=True)
    energy: Energy = eqx.field(static=True)
    _alone: Any = eqx.field(static=True, default_factory=threading.Lock)

    def predict(self, params: Params, graph: Graph) -> tuple[float, Float[np.ndarray, "atoms 3"]]:
        """Return the energy (eV) and forces (eV/Å)."""
        torch = _torch()
        with self._alone:  # the module holds one set of parameters at a time
            positions, energy = self._energy(params, graph)
            (slope,) = torch.autograd.grad(energy, positions)
            return float(energy.detach()), -slope.numpy(force=True).astype(np.float64)

    def slopes(
        self, params: Params, graph: Graph, ways: Float[np.ndarray, "ways atoms 3"]
    ) -> Float[np.ndarray, "rows params"]:
        """Return derivatives of the energy, and of the forces along each direction."""
        torch = _torch()
        with self._alone:
            positions, energy = self._energy(params, graph)
            (slope,) = torch.autograd.grad(energy, positions, create_graph=True)
            along = [-(slope * torch.as_tensor(way).to(slope)).sum() for way in ways]
            return np.stack([self._gradient(params, each) for each in (energy, *along)])

    def _energy(self, params: Params, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return positions, and the energy there with some parameters."""
        torch = _torch()
        with torch.no_grad():
            for name, parameter in self._moving(params).items():
                parameter.copy_(torch.as_tensor(np.asarray(params[name])).to(parameter))
        kind = next(iter(self._moving(params).values()))
        positions = torch.tensor(
            np.asarray(graph.positions), dtype=kind.dtype, device=kind.device, requires_grad=True
        )
        numbers = torch.tensor(np.asarray(graph.numbers, np.int64), device=kind.device)
        return positions, self.energy(
            numbers, positions, int(graph.charge), int(graph.multiplicity)
        )

    def _gradient(self, params: Params, value: Tensor) -> Float[np.ndarray, " params"]:
        moving = self._moving(params)
        slopes = _torch().autograd.grad(
            value, list(moving.values()), retain_graph=True, allow_unused=True
        )
        parts = [
            np.zeros(np.size(params[name])) if slope is None else slope.numpy(force=True).ravel()
            for name, slope in zip(moving, slopes, strict=True)
        ]
        return np.concatenate(parts).astype(np.float32)

    def _moving(self, params: Params) -> dict[str, Any]:
        """Return the module's parameters that move, in the order of JAX's trees."""
        held = dict(self.module.named_parameters())
        return {name: held[name] for name in sorted(params)}


def start(
    module: Module,
    energy: Energy,
    elements: Iterable[int],
    *,
    moves: Callable[[str], bool] = lambda _: True,
    e0s: Mapping[int, float] | None = None,
    charges: Iterable[int] = (0,),
    multiplicities: Iterable[int] = (1,),
    levels: Iterable[str] = (),
) -> Model:
    """Return a module of PyTorch as a start that `kshot.adapt` takes.

    Args:
        module: as its own code has loaded it, on any device; switch dropout and the like off.
        energy: by the module; twice differentiable, in positions and in parameters.
        elements: atomic numbers that it knows.
        moves: which parameters may move, by their names in ``module.named_parameters()``.
        e0s: energies of lone atoms in eV that `energy` leaves out; zeros if None.
        charges: total charges that it was trained on.
        multiplicities: likewise, 2S + 1.
        levels: levels of theory it was trained on, if they are to be told from those of labels.

    Raises:
        DataError: nothing may move.
    """
    known = tuple(sorted({int(z) for z in elements}))
    params = {
        name: parameter.detach().cpu().numpy().astype(np.float32)
        for name, parameter in module.named_parameters()
        if moves(name) and parameter.dtype.is_floating_point
    }
    if not params:
        raise DataError("parameters that may move", "none", "Let `moves` return True for some.")
    lone = dict.fromkeys(known, 0.0) if e0s is None else {z: float(e0s[z]) for z in known}
    seen = Seen(known, tuple(charges), tuple(multiplicities), tuple(levels))
    return Model(TorchPotential(known, 5.0, module, energy), params, lone, seen)


def write(model: Model, path: str | Path) -> None:
    """Write an adapted model of PyTorch: parameters by name, and E0s with their shifts; an npz."""
    shifts = {f"{E0}{z}": np.float64(energy) for z, energy in model.e0s.items()}
    arrays: dict[str, Any] = {**model.params, **shifts}
    with whole(Path(path)) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def read(module: Module, path: str | Path) -> dict[int, float]:
    """Put what `write` has written into a module, and return E0s in eV by atomic number.

    Raises:
        DataError: the file has a parameter that the module lacks, or of another shape.
    """
    torch, arrays = _torch(), read_arrays(Path(path))
    held = dict(module.named_parameters())
    moved = {name: value for name, value in arrays.items() if not name.startswith(E0)}
    for name, value in moved.items():
        if name not in held or tuple(held[name].shape) != value.shape:
            got = "none" if name not in held else f"one of shape {tuple(held[name].shape)}"
            todo = "Read it into a module of the same class and sizes."
            raise DataError(f"a parameter {name} of shape {value.shape}", got, todo)
    with torch.no_grad():
        for name, value in moved.items():
            held[name].copy_(torch.as_tensor(value).to(held[name]))
    return {int(name[len(E0) :]): float(v) for name, v in arrays.items() if name.startswith(E0)}
