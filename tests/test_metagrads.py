"""Meta-gradients: the contract of each, then closed forms and rivals."""

import pytest

from kshot.meta import metagrads, rules
from kshot.testing import check_metagrad, first_order_slope, reptile_slope
from kshot.testing.problems import last_layer

pytestmark = pytest.mark.usefixtures("quick_compile")

# what each is tried with, where the default (sgd, all leaves, central differences) does not do.
SPECIAL = {
    "first_order": {"witness": first_order_slope},
    "reptile": {"witness": reptile_slope},
    # near the optimum only: a strongly convex inner problem.
    "implicit": {"rule": lambda: rules.proximal(1.0, rules.sgd(0.1)), "adapts": last_layer},
    "predictive": {"rule": lambda: rules.ridge(0.1), "adapts": last_layer},
    "probabilistic": {"rule": lambda: rules.gaussian_start(rules.sgd(0.05))},
}


@pytest.mark.parametrize("name", list(metagrads.registry))
def test_contract(name):
    check_metagrad(lambda: metagrads.registry.example(name), **SPECIAL.get(name, {}))
