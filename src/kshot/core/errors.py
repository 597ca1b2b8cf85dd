"""Every error kshot raises on purpose, as one tree.

    KshotError
    ├── InputError (ValueError)        what was given cannot be used
    │   ├── TaskError                  a task: its support, its query, their shapes or values
    │   ├── LossError                  a loss: not scalar, not differentiable, or the wrong kind
    │   ├── ParameterError             parameters: integer leaves, none to adapt, not finite
    │   ├── OptionError                an option of an algorithm, rule or loop
    │   ├── StructureError             a structure no engine can compute: clashes, spin, elements
    │   ├── DataError                  a file of labelled data: keys, units, signs, truncation
    │   │   └── UnitError              labels that are not in the units they are said to be in
    │   ├── OutputError                an output that would overwrite something
    │   ├── ModelFileError             a model file: damaged, too new, of another start
    │   ├── UnseenError                what a model has not been trained on
    │   └── ContractError              an implementation that breaks a contract of kshot.testing
    ├── UnknownNameError (KeyError)    a name no registry knows
    ├── MissingExtraError (ImportError) an optional dependency is not installed
    ├── CheckpointError                a checkpoint cannot be read or belongs to another run
    └── DivergedError                  every task of a whole stretch of training was non-finite

Each message says what was expected, what came, and what to do.
"""

from __future__ import annotations


class KshotError(Exception):
    """Base of all errors raised on purpose by kshot."""


class InputError(KshotError, ValueError):
    """Something given by the caller cannot be used."""

    def __init__(self, expected: str, got: str, todo: str) -> None:
        """Compose the message from what was expected, what came, and what to do about it."""
        super().__init__(f"expected {expected}; got {got}. {todo}")
        self.expected, self.got, self.todo = expected, got, todo

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        """Pickle by the three parts, so that the error comes whole out of another process."""
        return type(self), (self.expected, self.got, self.todo)


class TaskError(InputError):
    """A task cannot be used: empty, mismatched or non-finite support or query."""


class LossError(InputError):
    """A loss cannot be used: not scalar, not differentiable, or of the wrong kind for a rule."""


class ParameterError(InputError):
    """Parameters cannot be used: integer leaves, nothing to adapt, or non-finite values."""


class OptionError(InputError):
    """An option of an algorithm, rule, meta-gradient or loop is out of range."""


class StructureError(InputError):
    """A structure that no engine can compute: atoms that clash, an impossible spin, no element."""


class DataError(InputError):
    """A file of structures or labels that must not be used; the message names file and frame."""


class UnitError(DataError):
    """Labels that are not in the units, or not of the sign, that they are said to have."""


class OutputError(InputError):
    """An output that would overwrite an input, or something else that is there."""


class ModelFileError(InputError):
    """A model file that cannot be opened: damaged, edited, too new, or a delta on another start."""


class UnseenError(InputError):
    """A structure or level of theory a model has not been trained on; may be allowed explicitly."""


class UnknownNameError(KshotError, KeyError):
    """A name that the registry asked does not know."""

    def __str__(self) -> str:
        """Return the plain message (``KeyError`` would print its repr)."""
        return str(self.args[0])


class MissingExtraError(KshotError, ImportError):
    """An optional dependency is missing; the message carries the pip command that adds it."""


class CheckpointError(KshotError):
    """A checkpoint cannot be read, or belongs to a different run."""


class ContractError(InputError, AssertionError):
    """A rule, meta-gradient or algorithm breaks a promise that `kshot.testing` checks."""


class DivergedError(KshotError):
    """Training cannot go on: no task gave a finite gradient for a whole stretch of steps."""
