"""Inner rules: the contract of each, then closed forms that share no code with the engine."""

import pytest

from kshot.meta.rules import registry
from kshot.testing import check_rule
from kshot.testing.problems import last_layer

pytestmark = pytest.mark.usefixtures("quick_compile")

LINEAR = {"ridge": last_layer}  # rules that only move leaves which enter linearly


@pytest.mark.parametrize("name", list(registry))
def test_contract(name):
    check_rule(lambda: registry.example(name), LINEAR.get(name))
