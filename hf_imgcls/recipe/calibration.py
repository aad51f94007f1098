"""The recipe's section of calibration, and what it cannot be combined with."""

from pydantic import BaseModel

from hf_imgcls.recipe.base import Section


class CalibrationSection(Section):
    """Calibration of the scores of the model that is saved."""

    temperature_scaling: bool = False
    """Temperature scaling (arXiv:1706.04599): divide the logits by the temperature that gives validation the lowest
    loss, in the weights of the head, so that pipeline applies it. Predictions stay as they are; their scores change."""


def check_calibration(recipe: BaseModel) -> None:
    """A ValueError where a temperature cannot be fitted, or cannot be put into the head."""
    if not recipe.calibration.temperature_scaling:
        return
    key = "calibration.temperature_scaling"
    if getattr(recipe.model, "multi_label", False):
        raise ValueError(f"{key}: the scores of several labels an image have thresholds instead; leave it out")
    if recipe.data.streaming:
        raise ValueError(f"{key}: cannot be combined with data.streaming; leave it out")
    if recipe.training.fsdp or recipe.training.deepspeed:
        raise ValueError(f"{key}: cannot be combined with fsdp or deepspeed, which keep the head's weights in parts")
    for number, stage in enumerate(recipe.stages):
        if stage.refit:
            raise ValueError(f"{key}: after stages.{number}.refit no image is left to fit a temperature on")
        lora = getattr(stage.train, "lora", None)
        if lora and lora.save == "adapter":
            raise ValueError(f"{key}: the adapter of stages.{number}.train.lora would not have it; save it merged")
