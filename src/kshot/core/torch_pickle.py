"""A pickle read as data: classes and functions are names that nothing looks up, and nothing runs.

Only the opcodes that PyTorch writes are known. A value is plain (None, numbers, text, bytes, lists,
tuples, dicts, sets), a `Name`, or a `Record` of what the file would have called or made.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kshot.core.errors import ModelFileError

MOST_BYTES = 1 << 26  # of a pickle; those of models with millions of parameters have a hundredth
MOST_STEPS = 1 << 20  # opcodes: an object of tens of bytes may come of each
LARGEST_KEY = 1 << 60  # of integers in dicts: those beyond can be made to collide
FRESH = "It is damaged, or not what PyTorch writes: take a fresh copy."


@dataclass(frozen=True)
class Name:
    """A class or function that a file names; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        """Return the dotted name."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)  # it may contain itself
class Record:
    """What a file would have made by calling something: the call, and what was put in afterwards.

    Args:
        kind: what is called.
        args: with what.
        state: what its ``__setstate__`` would have got.
        items: what would have been appended, or set by key.
    """

    kind: Name
    args: tuple[Any, ...]
    state: Any = None
    items: list[Any] = field(default_factory=list)


Call = Callable[[Record], Any]
Persistent = Callable[[Any], Any]


def unpickled(data: bytes, call: Call, persistent: Persistent) -> Any:  # noqa: ANN401 - any value
    """Return what a pickle holds.

    Args:
        data: the pickle.
        call: gets each call that the file asks for, and returns what stands in its place.
        persistent: gets each persistent id, and returns what stands in its place.

    Raises:
        ModelFileError: it is no pickle, or needs what this reader refuses.
    """
    if len(data) > MOST_BYTES:
        raise ModelFileError(f"a pickle of at most {MOST_BYTES} bytes", f"{len(data)}", FRESH)
    machine = _Machine(call, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if count > MOST_STEPS:
                raise ModelFileError(f"a pickle of at most {MOST_STEPS} steps", "more", FRESH)
            machine.step(opcode.name, argument)
        return machine.result()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError("a sound pickle", f"{error}"[:80], FRESH) from error


class _Machine:
    """The stack that a pickle's opcodes work on."""

    def __init__(self, call: Call, persistent: Persistent) -> None:
        self.call, self.persistent = call, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # stacks that a mark has set aside
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:  # noqa: ANN401 - of any opcode
        """Do what one opcode says."""
        if opcode in CONSTANTS:
            self.stack.append(CONSTANTS[opcode]())
        elif opcode in LITERALS:
            self.stack.append(argument)
        elif opcode in STEPS:
            STEPS[opcode](self, argument)
        elif opcode not in IGNORED:
            raise ModelFileError("a pickle as PyTorch writes it", f"opcode {opcode}", FRESH)

    def result(self) -> Any:  # noqa: ANN401
        """Return what is left."""
        if len(self.stack) != 1 or self.below:
            raise ModelFileError("one value in a pickle", f"{len(self.stack)}", FRESH)
        return self.stack[0]

    def mark(self, _: object) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.below.pop()
        return values

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def memoize(self, _: object) -> None:
        self.put(len(self.memo))

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError("a tuple of more than there is")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def marked_tuple(self, _: object) -> None:
        values = self.since_mark()
        self.stack.append(tuple(values))

    def name(self, argument: str) -> None:
        module, _, attribute = argument.partition(" ")
        self.stack.append(Name(module, attribute))

    def stacked_name(self, _: object) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        if not isinstance(attribute, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self.stack.append(Name(module, attribute))

    def reduce(self, _: object) -> None:
        args, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(kind, Name) or not isinstance(args, tuple):
            raise TypeError("a call of what is no name")
        self.stack.append(self.call(Record(kind, args)))

    def build(self, _: object) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Record):
            self.stack[-1].state = state  # of a plain dict or list, attributes say nothing

    def append(self, _: object) -> None:
        value = self.stack.pop()
        self.extend(self.stack.pop(), [value])

    def appends(self, _: object) -> None:
        values = self.since_mark()
        self.extend(self.stack.pop(), values)

    def extend(self, target: Any, values: list[Any]) -> None:  # noqa: ANN401
        if isinstance(target, set):
            target.update(map(_key, values))
        else:
            (target.items if isinstance(target, Record) else _list(target)).extend(values)
        self.stack.append(target)

    def set_item(self, _: object) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_all([key, value])

    def set_items(self, _: object) -> None:
        self.set_all(self.since_mark())

    def set_all(self, values: list[Any]) -> None:
        pairs = list(zip(values[::2], values[1::2], strict=True))
        target = self.stack[-1]
        if isinstance(target, Record):
            target.items.extend(pairs)
        elif isinstance(target, dict):
            target.update((_key(key), value) for key, value in pairs)
        else:
            raise TypeError("items for what is no dict")

    def persistent_id(self, _: object) -> None:
        self.stack.append(self.persistent(self.stack.pop()))


def _list(target: Any) -> list[Any]:  # noqa: ANN401
    if not isinstance(target, list):
        raise TypeError("more for what is no list")
    return target


def _key(key: Any) -> Any:  # noqa: ANN401
    # hashing nested tuples recurses without a bound, and equal hashes make dicts slow.
    plain = key is None or isinstance(key, (str, bytes, int))
    if not plain or (isinstance(key, int) and abs(key) >= LARGEST_KEY):
        raise TypeError("a key that is neither text nor a small integer")
    return key


CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
IGNORED = {"PROTO", "FRAME", "STOP"}
STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "TUPLE": _Machine.marked_tuple,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stacked_name,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "BUILD": _Machine.build,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "BINPERSID": _Machine.persistent_id,
}
