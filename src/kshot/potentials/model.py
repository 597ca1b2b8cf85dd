"""A model: a potential with parameters, E0s, and a record of what it has been trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import PyTree

from kshot.atoms import Fingerprint, Labels, Structure
from kshot.atoms.e0s import E0s
from kshot.atoms.elements import symbol
from kshot.core.errors import OptionError, UnseenError
from kshot.potentials.base import Potential
from kshot.potentials.coverage import Coverage, coverage_in
from kshot.potentials.model_potential import describe
from kshot.potentials.model_predict import Program, predict_all, programs
from kshot.potentials.model_tree import flatten

if TYPE_CHECKING:
    from kshot.potentials.model_ase import ModelCalculator

KINDS = ("elements", "charges", "multiplicities", "levels")
"""What of a structure or its labels may be unseen, and what ``allow`` may name."""


@dataclass(frozen=True)
class Seen:
    """What a model has been trained on; anything else is refused unless it is allowed.

    Args:
        elements: atomic numbers.
        charges: total charges, in elementary charges.
        multiplicities: 2S + 1.
        levels: levels of theory, each the ``text`` of its fingerprint; the last is the one that the
            model now predicts.
    """

    elements: tuple[int, ...]
    charges: tuple[int, ...] = (0,)
    multiplicities: tuple[int, ...] = (1,)
    levels: tuple[str, ...] = ()

    def joined(self, other: Seen) -> Seen:
        """Return what either has seen; the other's levels come last."""
        first = [level for level in self.levels if level not in other.levels]
        return Seen(
            tuple(sorted({*self.elements, *other.elements})),
            tuple(sorted({*self.charges, *other.charges})),
            tuple(sorted({*self.multiplicities, *other.multiplicities})),
            (*first, *other.levels),
        )


@dataclass(frozen=True, eq=False)
class Model:
    """A potential with its parameters: what is trained, adapted, saved and run.

    Args:
        potential: a network, or a classical potential.
        params: its parameters; nested dicts, lists and tuples of arrays.
        e0s: energy of each element's lone atom in eV. A shift per element between levels of theory,
            found at adaptation, is part of it.
        seen: what it has been trained on.
        learned: leaves that inner rules have learned, by the rule's name.
        record: where it comes from; plain JSON values.
    """

    potential: Potential
    params: PyTree
    e0s: Mapping[int, float]
    seen: Seen
    learned: Mapping[str, PyTree] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype:
        """The floating type of its parameters, in which it computes; float32 if it has none."""
        return np.result_type(*_floats(self.params)) if _floats(self.params) else np.dtype("f4")

    @property
    def programs(self) -> tuple[Program, ...]:
        """The sizes compiled so far for this potential in this process, by any of its models."""
        return programs(self.potential)

    @cached_property
    def digest(self) -> str:
        """The sha256 of all that decides a prediction or a refusal: not of ``record``."""
        whole = hashlib.sha256()
        e0s = {symbol(z): float(self.e0s[z]) for z in sorted(self.e0s)}
        plain = [describe(self.potential), e0s, asdict(self.seen)]
        shape, arrays = flatten({"params": self.params, "learned": dict(self.learned)})
        whole.update(json.dumps([*plain, shape], sort_keys=True).encode())
        for name in sorted(arrays):
            whole.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape} ".encode())
            whole.update(arrays[name].tobytes())
        return whole.hexdigest()

    @cached_property
    def coverage(self) -> Coverage | None:
        """What the shots of its adaptation cover, as its record tells; None of a start."""
        return coverage_in(self.record)

    def with_(self, **changes: Any) -> Model:  # noqa: ANN401 - fields of every type
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def astype(self, dtype: np.typing.DTypeLike) -> Model:
        """Return a copy whose parameters, and thus predictions, are float32 or float64."""
        kind = np.dtype(dtype)
        if kind not in {np.dtype("f4"), np.dtype("f8")}:
            raise OptionError("float32 or float64", str(kind), "Other types are never used here.")
        move = lambda leaf: leaf.astype(kind) if _is_float(leaf) else leaf  # noqa: E731
        return self.with_(params=jax.tree.map(move, jax.tree.map(np.asarray, self.params)))

    def refuse(
        self,
        structure: Structure,
        level: Fingerprint | str | None = None,
        *,
        allow: Collection[str] = (),
    ) -> None:
        """Raise unless the model has seen the structure's elements, charge, spin, and the level.

        Args:
            structure: what is to be predicted.
            level: the level of theory that is asked for; None asks for none.
            allow: which of `KINDS` may be unseen. Elements the potential has no parameters for are
                never allowed.

        Raises:
            UnseenError: it has not, and that was not allowed.
            StructureError: the potential can never compute it.
        """
        if unknown := sorted(set(allow) - set(KINDS)):
            raise OptionError(f"allow: any of {', '.join(KINDS)}", f"{unknown}", "Drop the rest.")
        self.potential.refuse(structure)
        present = {int(z) for z in structure.numbers}
        if missing := sorted(present - set(self.potential.elements) | present - set(self.e0s)):
            todo = "Nothing allows these: train a start that has them."
            raise UnseenError(_elements(self.potential.elements), _elements(missing), todo)
        text = level.text if isinstance(level, Fingerprint) else level
        asked: dict[str, set[Any]] = {
            "elements": present,
            "charges": {structure.charge},
            "multiplicities": {structure.multiplicity},
            "levels": {text} - {None},
        }
        for kind in (kind for kind in KINDS if kind not in allow):
            seen = getattr(self.seen, kind)
            if unseen := sorted(asked[kind] - set(seen)):
                _refused(kind, seen, unseen)

    def predict(
        self, structures: Sequence[Structure], *, allow: Collection[str] = ()
    ) -> list[Labels]:
        """Return energies (eV, E0s included) and forces (eV/Å) of structures, in their order.

        Small structures share a compiled program, whatever their sizes; see `programs`.

        Args:
            structures: any number, of any sizes.
            allow: which of `KINDS` may be unseen.

        Raises:
            UnseenError: a structure is of a kind that the model has not seen.
        """
        for one in structures:
            self.refuse(one, allow=allow)
        found = predict_all(self.potential, self.params, structures, self.dtype)
        sums = E0s(self.e0s, "dictionary").sums(structures)
        return [
            Labels(rest + float(lone), forces)
            for (rest, forces), lone in zip(found, sums, strict=True)
        ]

    def calculator(self, *, allow: Collection[str] = ()) -> ModelCalculator:
        """Return an ASE calculator: energy, forces, and stress where all directions repeat.

        That of an adapted model warns once where configurations leave what its shots cover.

        Args:
            allow: which of `KINDS` may be unseen.
        """
        from kshot.potentials.model_ase import ModelCalculator

        return ModelCalculator(
            self.potential,
            self.params,
            E0s(self.e0s, "dictionary"),
            self.dtype,
            lambda structure: self.refuse(structure, allow=allow),
            self.coverage,
        )


def _refused(kind: str, seen: tuple[Any, ...], unseen: list[Any]) -> None:
    words = {
        "elements": _elements,
        "charges": lambda those: ", ".join(f"{charge:+d}" for charge in those),
        "multiplicities": lambda those: ", ".join(map(str, those)),
        "levels": lambda those: ", ".join(level_words(text) for text in those),
    }[kind]
    expected = f"{kind} that the model has seen: {words(seen) or 'none'}"
    raise UnseenError(expected, words(unseen), f"Adapt it to such data, or allow {kind!r}.")


def level_words(text: str) -> str:
    """Return a short name of a level of theory from its fingerprint's text."""
    try:
        return str(Fingerprint.parse(text))
    except (ValueError, TypeError):
        return repr(text)


def _elements(numbers: Sequence[int]) -> str:
    return ", ".join(symbol(z) for z in numbers) or "none"


def _is_float(leaf: Any) -> bool:  # noqa: ANN401 - any array
    return np.issubdtype(np.asarray(leaf).dtype, np.floating)


def _floats(tree: PyTree) -> list[np.dtype]:
    return [np.dtype(leaf.dtype) for leaf in jax.tree.leaves(tree) if _is_float(leaf)]
