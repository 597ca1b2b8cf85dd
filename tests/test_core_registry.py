"""Registries import lazily, suggest close names, and tell which extra is missing."""

import sys

import pytest

from kshot.core.errors import KshotError, MissingExtraError, UnknownNameError
from kshot.core.registry import Registry
from kshot.meta import algorithms, metagrads, rules


def table():
    return Registry(
        "thing",
        {
            "json": "json:dumps",
            "nested": "os:path.join",
            "heavy": "a_package_that_is_nowhere:make",
            "broken": "another_package_that_is_nowhere:make",
        },
        extras={"heavy": "plot"},
    )


def test_entries():
    registry = table()
    assert list(registry) == ["json", "nested", "heavy", "broken"]
    assert "json" in registry
    assert "yaml" not in registry
    assert registry.get("json")([1]) == "[1]"
    assert registry.get("nested")("a", "b") == "a/b"


def test_nothing_is_imported_until_asked_for(tmp_path, monkeypatch):
    (tmp_path / "lazy_entry.py").write_text("make = 1\ndef example_lazy(): return 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("thing", {"lazy": "lazy_entry:make"})
    assert "lazy_entry" not in sys.modules
    assert registry.get("lazy") == 1
    assert registry.example("lazy") == 2


def test_unknown_names():
    with pytest.raises(UnknownNameError) as caught:
        table().get("jsno")
    message = str(caught.value)
    assert message.startswith("no thing is called 'jsno'. Did you mean 'json'?")
    assert "Known: broken, heavy, json, nested." in message
    assert isinstance(caught.value, KeyError | KshotError)
    with pytest.raises(UnknownNameError) as caught:
        table().example("zzzzz")
    assert "Did you mean" not in str(caught.value)


def test_missing_extras():
    with pytest.raises(MissingExtraError) as caught:
        table().get("heavy")
    assert "thing 'heavy' needs the package 'a_package_that_is_nowhere'" in str(caught.value)
    assert "pip install 'kshot[plot]'" in str(caught.value)
    with pytest.raises(ModuleNotFoundError, match="another_package_that_is_nowhere"):
        table().get("broken")  # no extra adds it: the plain error says more


@pytest.mark.parametrize("registry", [rules.registry, metagrads.registry, algorithms.registry])
def test_every_entry_has_a_factory_and_an_example(registry):
    for name in registry:
        assert callable(registry.get(name))
        assert registry.example(name) is not None
