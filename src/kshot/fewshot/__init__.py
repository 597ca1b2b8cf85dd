"""The bridge between chemistry and the engine: families and labels become tasks."""

from kshot.fewshot import tasks
from kshot.fewshot.tasks import FewShotTask, Setting, make_task

__all__ = ["FewShotTask", "Setting", "make_task", "tasks"]
