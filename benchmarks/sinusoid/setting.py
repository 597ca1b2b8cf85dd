"""What is measured: shots, steps, tasks; and where results are kept."""

from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SHOTS = (5, 10)
EVAL_STEPS = (0, 1, 5, 10)
TEST_TASKS, VALIDATION_TASKS, QUERY, META_BATCH = 1000, 200, 100, 25
DIVERGED = 1000.0
