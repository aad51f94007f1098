"""What a recipe of several labels an image cannot have, and what it alone can have."""

from hf_imgcls.recipe.base import Section
from hf_imgcls.recipe.stage import Stage

_ONE = "images are of one class each there, not of several (model.multi_label); leave it out"


def check_labels(recipe: Section, stages: list[Stage]) -> None:
    """Raises ValueError for keys that do not go with `model.multi_label`, or with one label an image."""
    for number, network in enumerate(recipe.ensemble.networks):
        if network.model.multi_label != recipe.model.multi_label:
            raise ValueError(
                f"ensemble.networks.{number}.model.multi_label: all networks of an ensemble are trained on the same "
                "labels; give each the same"
            )
    if recipe.model.multi_label:
        _check_several(recipe, stages)
        return
    if isinstance(recipe.data.label_column, list):
        raise ValueError("data.label_column: a list of columns needs model.multi_label; name one column")
    if recipe.loss.asymmetric:
        raise ValueError("loss.asymmetric: is for several labels an image (model.multi_label); leave it out")


def _check_several(recipe: Section, stages: list[Stage]) -> None:
    data, loss = recipe.data, recipe.loss
    for role in ("train", "validation", "test"):
        if getattr(data.samples_per_class, role):
            raise ValueError(
                f"data.samples_per_class.{role}: an image may be of several classes (model.multi_label), so that no "
                "number of each can be drawn; set data.max_samples"
            )
    if data.folds:
        raise ValueError("data.folds: cannot be combined with model.multi_label; hold out data.validation_fraction")
    for key, value in {"data.long_tail": data.long_tail, "loss.logit_adjustment": loss.logit_adjustment}.items():
        if value:
            raise ValueError(f"{key}: {_ONE}")
    if loss.asymmetric and loss.focal_gamma:
        raise ValueError("loss.focal_gamma: loss.asymmetric has a focusing for each side; leave one of them out")
    for stage in stages:
        key = f"stages.{stage.number - 1}." if stage.listed else ""
        if stage.sampling.balance:
            raise ValueError(f"{key}sampling.balance: {_ONE}, or weigh the labels with loss.class_weights")
        if stage.distillation.teacher:
            raise ValueError(f"{key}distillation: {_ONE}")
        if stage.logistic_regression and loss.asymmetric:
            raise ValueError(
                f"{key}logistic_regression: with loss.asymmetric the loss is not convex and has no one optimum to "
                "solve for; leave one of them out"
            )
