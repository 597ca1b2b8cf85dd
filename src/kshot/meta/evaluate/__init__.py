"""Evaluation and diagnostics. Every result is a typed record that can be written as JSON and drawn.

A task that diverges is never averaged in: means are over the others, and it is counted beside them.
"""

from kshot.meta.evaluate.choose_steps import StepChoice, choose_steps
from kshot.meta.evaluate.cross_validation import CrossValidation, cross_validate
from kshot.meta.evaluate.curves import Curve, adaptation_curve, shots_curve
from kshot.meta.evaluate.forgetting import (
    Forgetting,
    SequenceForgetting,
    forgetting,
    sequence_forgetting,
)
from kshot.meta.evaluate.gap import Gap, meta_gap
from kshot.meta.evaluate.guarded import Guarded, adapt_guarded
from kshot.meta.evaluate.imbalance import Imbalance, imbalance, with_counts
from kshot.meta.evaluate.measure import Metric, task_errors
from kshot.meta.evaluate.record import Record
from kshot.meta.evaluate.seeds import SeedCurve, over_seeds

__all__ = [
    "CrossValidation",
    "Curve",
    "Forgetting",
    "Gap",
    "Guarded",
    "Imbalance",
    "Metric",
    "Record",
    "SeedCurve",
    "SequenceForgetting",
    "StepChoice",
    "adapt_guarded",
    "adaptation_curve",
    "choose_steps",
    "cross_validate",
    "forgetting",
    "imbalance",
    "meta_gap",
    "over_seeds",
    "sequence_forgetting",
    "shots_curve",
    "task_errors",
    "with_counts",
]
