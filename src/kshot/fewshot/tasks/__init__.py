"""Tasks from labels: a family at a temperature, with its isotopes, at one level of theory.

`make_task` takes labelled frames (a ledger, or any iterable of `Labelled`), picks those of a
`Setting`, keeps support and query apart in time, chooses the shots, and lays them out as padded
arrays. What was chosen is written down in a `TaskRecord`.
"""

from kshot.fewshot.tasks.apart import split_apart
from kshot.fewshot.tasks.arrays import Shots, stack_shots
from kshot.fewshot.tasks.make import FewShotTask, make_task
from kshot.fewshot.tasks.record import FrameRecord, TaskRecord
from kshot.fewshot.tasks.select import selections
from kshot.fewshot.tasks.setting import Setting, frames_of

__all__ = [
    "FewShotTask",
    "FrameRecord",
    "Setting",
    "Shots",
    "TaskRecord",
    "frames_of",
    "make_task",
    "selections",
    "split_apart",
    "stack_shots",
]
