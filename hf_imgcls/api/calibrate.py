"""Temperature scaling of what a run has trained: fitted on validation, saved in the head, scored as it is saved."""

from pathlib import Path
from typing import Any

from hf_imgcls.api.run import Run
from hf_imgcls.data import Data
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform
from hf_imgcls.machine import on_main, say
from hf_imgcls.models import check_divisible, divide_logits
from hf_imgcls.reports import describe_temperature, temperature_changes
from hf_imgcls.scoring import at_temperature, compute_metrics, fit_temperature, split_metrics
from hf_imgcls.training import ImageTrainer, ScoredRun, score_saved


def check_can_calibrate(recipe, data: Data, model=None, size: tuple[int, int] = (0, 0)) -> None:
    """Before anything is trained: an InputError where no temperature can be fitted, or put into the network."""
    if not recipe.calibration.temperature_scaling:
        return
    if "validation" not in data.splits:
        raise InputError("calibration.temperature_scaling: there is no validation split to fit a temperature on")
    if model is not None:
        check_divisible(model, size)


def calibrate(
    run: Run, trainer: ImageTrainer, scored: ScoredRun, scoring: EvalTransform
) -> tuple[ScoredRun, dict[str, Any] | None]:
    """Divide the logits of the saved model by the temperature that validation asks for, where the recipe wants that.

    Returns:
        The scores of the model as it is saved now, and what the temperature has changed; None without one.
    """
    if not run.recipe.calibration.temperature_scaling:
        return scored, None
    return scale_saved(run.folder, trainer, scored, run.data, scoring)


def scale_saved(
    folder: Path, trainer: ImageTrainer, scored: ScoredRun, data: Data, scoring: EvalTransform
) -> tuple[ScoredRun, dict[str, Any] | None]:
    """Divide the logits of the model saved in a folder by the temperature of its validation; returns as `calibrate`."""
    before = scored.outputs
    temperature = on_main(lambda: fit_temperature(before["validation"]))
    if temperature is None:
        say("calibration: no temperature: no validation image is predicted wrongly, or one has no scores")
        return scored, None
    divide_logits(trainer.model, temperature)
    trainer.save_run(folder)
    if all(output.probabilities is not None for output in before.values()):
        outputs = {split: at_temperature(output, temperature) for split, output in before.items()}
        scores = {}
        for split, output in outputs.items():
            metrics = compute_metrics(output, trainer.custom.metrics)
            named = {f"{split}_{key}": value for key, value in metrics.items()}
            scores[split] = split_metrics(named, split, output.label_ids)
        scored = ScoredRun(scores, outputs, outputs)
    else:
        scored = score_saved(trainer, data, scoring)
    found = temperature_changes(temperature, before, scored.outputs)
    for line in describe_temperature(found):
        say(line)
    return scored, found
