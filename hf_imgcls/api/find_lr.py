"""A learning-rate range test."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_imgcls import reports
from hf_imgcls.api.one_stage import OneStage, open_stage
from hf_imgcls.errors import InputError
from hf_imgcls.machine import on_main, say
from hf_imgcls.store import cache_in_use, try_place
from hf_imgcls.training import FEWEST, Curve, Suggestion, Sweep, suggest_rate, sweep_plan, sweep_rates

_MOST_STEPS = 100_000
_USUAL = Sweep()


@cache_in_use()
def find_learning_rate(
    source: str | Path | dict,
    overrides: Iterable[str] = (),
    sweep: Sweep = _USUAL,
    *,
    stage: int | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """Train a stage of a recipe at growing learning rates until its loss diverges, and suggest one.

    The training is the recipe's own; its weights are thrown away, and neither a run folder nor a checkpoint is
    changed. Stages before it are trained first.

    Args:
        sweep: the rates.
        stage: from 1; the last one if None.
        output: PNG of the curve; by default a new file in the present folder.

    Returns:
        `learning_rate`; `override`, which sets it; `rates` and `losses` of each step; `diverged`; `file` of the curve.

    Raises:
        InputError: the recipe, the data or the rates are not as they must be; the curve has no suggestion.
    """
    _check_sweep(sweep)
    file = _choose_file(source, output)
    on_main(lambda: try_place(file.parent, "--output"))
    with open_stage(source, overrides, stage, "find-lr") as opened:
        curve = sweep_rates(opened.trainer(sweep_plan(opened.plan, sweep)), sweep)
        found = suggest_rate(curve)
        on_main(lambda: reports.draw_sweep(file, curve, found))
        for line in [*_describe(curve, found, opened), f"curve: {file}"]:
            say(line)
        if found.rate is None:
            raise InputError(
                f"find-lr: the loss falls at no rate from {curve.rates[0]:.2g} to {curve.rates[-1]:.2g} by more "
                f"than it varies from batch to batch ({file}); take more --steps or larger batches"
            )
        override = f"{opened.section}.learning_rate={found.rate:.2g}"
    say(override)
    points = {"rates": curve.rates.tolist(), "losses": curve.losses.tolist()}
    suggested = {"learning_rate": float(f"{found.rate:.2g}"), "override": override}
    return {**suggested, **points, "diverged": curve.diverged, "file": str(file)}


def _check_sweep(sweep: Sweep) -> None:
    if not FEWEST <= sweep.steps <= _MOST_STEPS:
        raise InputError(f"--steps: found {sweep.steps}, expected {FEWEST} to {_MOST_STEPS:,}: fewer have no curve")
    if not 0 < sweep.lowest < sweep.highest < float("inf"):
        raise InputError(
            f"--lowest, --highest: found {sweep.lowest:g} and {sweep.highest:g}, expected two "
            "rates above 0, the lower first"
        )


def _choose_file(source: str | Path | dict, output: Path | None) -> Path:
    if output is None:
        stem = "recipe" if isinstance(source, dict) else Path(source).stem
        names = (Path(f"{stem}-find-lr{f'-{number}' if number > 1 else ''}.png") for number in range(1, 10**6))
        return on_main(lambda: next(file for file in names if not file.exists()))
    if output.suffix.lower() != ".png":
        raise InputError(f"--output: found {output}, expected a file that ends in .png")
    if output.exists():
        raise InputError(f"--output: {output} is there already; name a new file")
    return output


def _describe(curve: Curve, found: Suggestion, opened: OneStage) -> list[str]:
    rates, arguments = curve.rates, opened.plan.arguments
    batch = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    how = "where the loss diverged" if curve.diverged else "the highest"
    lines = [f"find-lr: {len(rates)} steps of {batch} images at rates from {rates[0]:.2g} to {rates[-1]:.2g}, {how}"]
    if found.still_falls:
        lines.append("find-lr: the loss still falls at the highest rate, so a better one may be above; raise --highest")
    if opened.data.fingerprints and (epochs := len(rates) * batch / len(opened.data.splits["train"])) >= 10:
        lines.append(f"find-lr: these are {epochs:.0f} epochs: part of the fall is images that are known by heart")
    if found.rate is not None:
        lines.append(
            f"find-lr: the loss falls most steeply at {found.rate:.2g} and is lowest at {found.minimum:.2g}; the "
            f"recipe has {opened.plan.stage.training.learning_rate:.2g}"
        )
    return lines
