"""Meta-algorithms: the contract of each, then what they share."""

import jax
import pytest

from kshot.meta.algorithms import registry
from kshot.meta.problems import mlp
from kshot.testing import check_algorithm

pytestmark = pytest.mark.usefixtures("quick_compile")


def starts(name):
    """Parameters to start from, where a small perceptron does not do."""
    keys = jax.random.split(jax.random.key(0), 2)
    return jax.vmap(lambda key: mlp(key, (1, 5, 1)))(keys) if name == "ensemble" else None


@pytest.mark.parametrize("name", list(registry))
def test_contract(name):
    check_algorithm(lambda: registry.example(name), starts(name))
