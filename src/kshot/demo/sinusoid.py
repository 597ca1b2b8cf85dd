"""Few-shot sinusoids end to end: meta-train, adapt to waves never seen, draw what came of it.

    python -m kshot.demo.sinusoid [--steps 6000] [--shots 5] [--out sinusoid.png]

The same network is trained three ways on the same tasks: jointly (then fine-tuned), by MAML, and
with a closed-form Bayesian last layer.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray
from rich.console import Console
from rich.table import Table

from kshot import meta
from kshot.core.errors import OptionError
from kshot.core.registry import missing_extra
from kshot.meta import problems, rules
from kshot.meta.evaluate import Curve, adaptation_curve
from kshot.meta.metagrads.joint import pooled
from kshot.meta.problems import head, squared_error
from kshot.meta.rules import PosteriorRule

META_BATCH, QUERY, TEST_TASKS, FINE_STEPS = 25, 10, 1000, 10
console = Console()


class Learned(NamedTuple):
    """One way to learn, trained and measured."""

    algorithm: meta.Bilevel
    state: meta.State
    curve: Curve


def ways(steps: int) -> dict[str, meta.Bilevel]:
    """Return the three algorithms; all share the outer optimiser and its schedule."""
    rate = optax.cosine_decay_schedule(3e-3, steps, alpha=0.01)
    outer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(rate))
    return {
        "joint training + fine-tuning": meta.finetune(squared_error, rules.sgd(0.01), outer=outer),
        "MAML": meta.maml(squared_error, rules.sgd(0.01), steps=1, outer=outer),
        "Bayesian last layer": meta.bayes_head(squared_error, head, outer=outer),
    }


def learn(name: str, algorithm: meta.Bilevel, shots: int, steps: int) -> Learned:
    """Meta-train one way with a progress bar, and measure it on tasks it has never seen."""
    console.print(f"[bold]{name}[/bold]: {steps:,} outer steps of {META_BATCH} tasks")

    def tasks(key: PRNGKeyArray) -> meta.Task:
        return problems.sinusoids(key, META_BATCH, shots, QUERY)

    start = algorithm.init(problems.mlp(jax.random.key(0)))
    state = meta.train(algorithm, start, tasks, steps).state
    unseen = problems.sinusoids(jax.random.key(2), TEST_TASKS, shots, 100)
    return Learned(algorithm, state, adaptation_curve(algorithm, state, unseen, FINE_STEPS))


def table(learned: dict[str, Learned], shots: int) -> Table:
    """Return the errors as a table."""
    columns = Table(title=f"query MSE on {TEST_TASKS:,} unseen sinusoids, {shots} shots")
    for title in ("", "before", "1 step", "5 steps", "10 steps"):
        columns.add_column(title, justify="left" if not title else "right")
    for name, one in learned.items():
        means = [f"{one.curve.mean[step]:.3f}" for step in (0, 1, 5, 10)]
        columns.add_row(name, *means)
    return columns


def draw(learned: dict[str, Learned], shots: int, out: Path) -> None:
    """Draw one unseen wave as each way sees it, and the error of all of them against steps."""
    plt = _pyplot()
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    task = meta.take(problems.sinusoids(jax.random.key(9), 1, shots, QUERY), 0)
    grid = jnp.linspace(-5, 5, 200)[:, None]
    wave = _truth(task, grid)
    for axis, (name, one) in zip(axes, learned.items(), strict=False):
        _draw_fit(axis, one, task, grid)
        axis.plot(grid, wave, "k--", lw=1, label="truth")
        axis.plot(*task.support, "k^", ms=7, label=f"{shots} labels")
        axis.set(title=name, ylim=(-6, 6))
        axis.legend(fontsize=7, loc="upper left")
    for name, one in learned.items():
        axes[-1].errorbar(
            one.curve.at,
            one.curve.mean,
            yerr=[one.curve.mean - one.curve.low, one.curve.high - one.curve.mean],
            label=name,
            marker="o",
            ms=3,
        )
    axes[-1].set(
        yscale="log", xlabel="inner steps", title=f"query MSE, {TEST_TASKS:,} unseen waves"
    )
    axes[-1].legend(fontsize=7)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def _draw_fit(axis: Any, one: Learned, task: meta.Task, grid: Array) -> None:  # noqa: ANN401
    def predict(params: Any) -> Array:  # noqa: ANN401
        return problems.predict(params, grid)[:, 0]

    axis.plot(grid, predict(one.state.params), color="0.7", label="before")
    mean = predict(one.algorithm.adapt(one.state, task.support, FINE_STEPS))
    axis.plot(grid, mean, color="C0", label="adapted")
    if isinstance(one.state.learner.rule, PosteriorRule):
        posterior = one.algorithm.posterior(one.state, task.support)
        spread = 2 * jnp.sqrt(posterior.variance(predict))
        axis.fill_between(grid[:, 0], mean - spread, mean + spread, alpha=0.2, label="± 2σ")


def _truth(task: meta.Task, grid: Array) -> Array:
    # A sin(x + p) = a sin x + b cos x: two numbers, fitted exactly from the noiseless points.
    x, y = pooled(task)
    basis = jnp.concatenate([jnp.sin(x), jnp.cos(x)], axis=1)
    return jnp.concatenate([jnp.sin(grid), jnp.cos(grid)], axis=1) @ jnp.linalg.lstsq(basis, y)[0]


def _pyplot() -> Any:  # noqa: ANN401
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise missing_extra("the demo's picture", error.name, "plot") from error
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def main(argv: list[str] | None = None) -> None:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=6000, help="outer steps of each way")
    parser.add_argument("--shots", type=int, default=5, help="K, the labels of a new task")
    parser.add_argument("--out", type=Path, default=Path("sinusoid.png"))
    args = parser.parse_args(argv)
    if args.steps < 1 or args.shots < 1:
        got = f"--steps {args.steps} --shots {args.shots}"
        raise OptionError("at least one step and one shot", got, "Try --steps 6000 --shots 5.")
    _pyplot()  # a missing package is said before minutes of training, not after
    learned = {name: learn(name, a, args.shots, args.steps) for name, a in ways(args.steps).items()}
    console.print(table(learned, args.shots))
    draw(learned, args.shots, args.out)
    console.print(f"picture: {args.out.resolve()}")


if __name__ == "__main__":
    main()
