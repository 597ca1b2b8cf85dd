"""Public contracts: check your own rule, meta-gradient or algorithm as kshot checks its own.

Each function makes what it is given afresh, tries it on small problems, and raises
`kshot.core.errors.ContractError` at the first promise that is broken. Call them from your
tests; they need neither pytest nor files.
"""

from kshot.testing.adapters import check_adapter
from kshot.testing.algorithms import check_algorithm
from kshot.testing.expect import expect, expect_close, expect_same_type
from kshot.testing.labelers import check_labeler
from kshot.testing.metagrads import check_metagrad
from kshot.testing.problems import Problem, sinusoid_problem
from kshot.testing.rules import check_rule
from kshot.testing.witnesses import (
    Witness,
    difference_slope,
    expect_slopes,
    first_order_slope,
    reptile_slope,
)

__all__ = [
    "Problem",
    "Witness",
    "check_adapter",
    "check_algorithm",
    "check_labeler",
    "check_metagrad",
    "check_rule",
    "difference_slope",
    "expect",
    "expect_close",
    "expect_same_type",
    "expect_slopes",
    "first_order_slope",
    "reptile_slope",
    "sinusoid_problem",
]
