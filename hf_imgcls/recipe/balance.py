"""Which keys against imbalance, and of repeated augmentation, exclude each other or others."""

from hf_imgcls.recipe.base import Section


def check_balance(recipe: Section, stage: Section, prefix: str) -> None:
    """Refuse what would correct the same imbalance twice, or cannot be right; `prefix` is that of the stage's keys."""
    loss, solved = recipe.loss, stage.logistic_regression
    if loss.class_weights == "balanced" and loss.logit_adjustment:
        raise ValueError(
            'loss.logit_adjustment: class_weights="balanced" corrects the same imbalance; leave one of them out'
        )
    if loss.focal_gamma and stage.training.label_smoothing_factor:
        raise ValueError(
            "loss.focal_gamma: both it and training.label_smoothing_factor hold confident predictions back, and "
            "together a smoothing of 0.1 acts as one of about 0.3; leave one of them out"
        )
    if loss.focal_gamma and solved:
        raise ValueError(
            f"{prefix}logistic_regression: with loss.focal_gamma the loss is not convex and has no one optimum to "
            "solve for; leave one of them out"
        )
    if stage.sampling.balance:
        _check_sampling(recipe, stage, f"{prefix}sampling.balance")
    if stage.augmentation.repeats > 1:
        _check_repeats(recipe, stage, f"{prefix}augmentation.repeats")


def _check_sampling(recipe: Section, stage: Section, key: str) -> None:
    if recipe.data.streaming:
        raise ValueError(f"{key}: a stream comes in its own order; leave it or data.streaming out")
    if stage.logistic_regression:
        raise ValueError(
            f'{key}: a logistic regression is solved on all images at once; loss.class_weights="balanced" does there '
            'what drawing does; give the stage a "sampling" of its own: {}'
        )
    _check_order(stage, key)
    twice = "logit_adjustment" if recipe.loss.logit_adjustment else "class_weights"
    if stage.sampling.balance == 1 and (recipe.loss.logit_adjustment or recipe.loss.class_weights == "balanced"):
        raise ValueError(
            f"{key}: 1 draws each class equally often, which leaves nothing to loss.{twice}; leave one out"
        )


def _check_repeats(recipe: Section, stage: Section, key: str) -> None:
    if recipe.data.streaming:
        raise ValueError(f"{key}: a stream comes in its own order; leave it or data.streaming out")
    if stage.cache_features:
        raise ValueError(f"{key}: cached features are computed once; views has several of each image")
    if not stage.augmentation.train:
        raise ValueError(f"{key}: there is no augmentation.train that would make them differ; leave it out")
    _check_order(stage, key)


def _check_order(stage: Section, key: str) -> None:
    if stage.training.train_sampling_strategy == "sequential":
        raise ValueError(f'{key}: training.train_sampling_strategy "sequential" keeps the order; leave one of them out')
