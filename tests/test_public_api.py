"""Every public name exists, says what it is, and is fully annotated."""

import importlib
import inspect
from pathlib import Path

import pytest

from levels import modules

SRC = Path(__file__).parent.parent / "src"
MODULES = [name for name in modules(SRC) if not name.endswith(".__main__")]


def flaws(module) -> list[str]:
    """What is missing behind a module's `__all__`; one phrase each."""
    found = []
    for name in getattr(module, "__all__", ()):
        if not hasattr(module, name):
            found.append(f"{name}: in __all__, but not importable")
            continue
        thing = getattr(module, name)
        if inspect.ismodule(thing) or inspect.isclass(thing) or inspect.isfunction(thing):
            found += undocumented(name, thing)
        if inspect.isfunction(thing):
            found += unannotated(name, thing)
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                function = getattr(value, "__func__", value)  # through classmethod and staticmethod
                if not method.startswith("_") and inspect.isfunction(function):
                    found += undocumented(f"{name}.{method}", getattr(thing, method))
                    found += unannotated(f"{name}.{method}", function)
    return found


def undocumented(name, thing) -> list[str]:
    return [] if inspect.getdoc(thing) else [f"{name}: no docstring"]


def unannotated(name, function) -> list[str]:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    found = [
        f"{name}: parameter `{parameter.name}` has no annotation"
        for i, parameter in enumerate(parameters)
        if parameter.annotation is inspect.Parameter.empty
        and not (i == 0 and parameter.name in {"self", "cls"})
    ]
    if signature.return_annotation is inspect.Signature.empty:
        found.append(f"{name}: no return annotation")
    return found


@pytest.mark.parametrize("name", MODULES)
def test_public_names(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name}: a module says what it is for"
    assert flaws(module) == []


def test_checker_sees(tmp_path, monkeypatch):
    (tmp_path / "flawed.py").write_text(
        """
__all__ = ["C", "f", "gone", "ok"]
def f(x, y: int): "Doc."
def ok(x: int) -> int: "Doc."
class C:
    "Doc."
    def run(self, x: int) -> int: return x
    @classmethod
    def make(cls, x) -> "C": "Doc."
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert flaws(importlib.import_module("flawed")) == [
        "C.run: no docstring",
        "C.make: parameter `x` has no annotation",
        "f: parameter `x` has no annotation",
        "f: no return annotation",
        "gone: in __all__, but not importable",
    ]
