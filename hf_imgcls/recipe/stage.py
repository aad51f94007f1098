"""A stage of a recipe: its keys, what a run makes of them, and which of them exclude each other."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, PositiveInt

from hf_imgcls.recipe.balance import check_balance
from hf_imgcls.recipe.distillation import DistillationSection, check_distillation
from hf_imgcls.recipe.lora import Lora, check_lora
from hf_imgcls.recipe.sections import (
    AugmentationSection,
    AveragingSection,
    OptimizerSection,
    SamplingSection,
    Section,
)

# Values that nothing can be done about without an evaluation.
_EVALUATING = {
    "eval_strategy": ["epoch", "steps"],
    "save_strategy": ["best"],
    "lr_scheduler_type": ["reduce_lr_on_plateau"],
    **{key: [True] for key in ("do_eval", "eval_on_start", "load_best_model_at_end")},
}


class LastBlocks(Section):
    """Train the last blocks of the backbone and everything after them."""

    last_blocks: PositiveInt | Literal["all"]
    """Number of residual or transformer blocks (of convolutions, in a plain stack); "all": every parameter."""
    freeze_batch_norm: bool = False
    """Keep the batch normalizations among them frozen, statistics and parameters."""


class EarlyStopping(Section):
    """Early stopping on training.metric_for_best_model."""

    patience: PositiveInt = 1
    """Consecutive evaluations without improvement before training stops."""
    threshold: float = Field(0.0, ge=0)
    """Minimum change that counts as an improvement."""


Trained = Literal["all", "head"] | LastBlocks | Lora | Annotated[list[str], Field(min_length=1)]


class StageKeys(Section):
    train: Trained = "all"
    """Parameters to train: "all", "head", {"last_blocks": n}, {"lora": {}}, or regular expressions."""
    cache_features: bool = False
    """Cache the frozen backbone's features and train the head on them."""
    views: PositiveInt = 1
    """Views of each training image in cached features: the evaluated one, and others that augmentation.train draws."""
    logistic_regression: bool = False
    """Solve the head on its cached features by L-BFGS instead of training it: the L2 penalty with the lowest validation
    loss is chosen. Epochs, batches and learning rate have no effect."""
    refit: bool = False
    """Where the run ends with this logistic regression: solve it once more, on train and validation together, with the
    penalty that was chosen. Validation is scored before that."""
    early_stopping: EarlyStopping | None = Field(None, description=EarlyStopping.__doc__)
    only_if_better: bool = False
    """Keep the weights of the stage before where this one's best checkpoint is not better on validation, by its
    training.metric_for_best_model."""
    augmentation: AugmentationSection | None = None
    """Replaces the recipe's augmentation in this stage; {}: none."""
    sampling: SamplingSection | None = None
    """Replaces the recipe's sampling in this stage; {}: each image once an epoch."""
    distillation: DistillationSection | None = None
    """Replaces the recipe's distillation in this stage; {}: none."""
    averaging: AveragingSection | None = None
    """Replaces the recipe's averaging in this stage; {}: none."""
    optimizer: OptimizerSection | None = None
    """Replaces the recipe's optimizer section in this stage; {}: one learning rate."""


class Stage(NamedTuple):
    """One stage of a run, with the recipe's settings for it."""

    number: int  # from 1
    train: Trained
    cache_features: bool
    logistic_regression: bool
    only_if_better: bool
    early_stopping: EarlyStopping | None
    augmentation: AugmentationSection
    training: Section  # the recipe's, with the stage's overrides
    listed: bool  # by the recipe; if not, the run is one stage in the run folder itself
    averaging: AveragingSection = AveragingSection()
    optimizer: OptimizerSection = OptimizerSection()
    refit: bool = False
    views: int = 1
    sampling: SamplingSection = SamplingSection()
    distillation: DistillationSection = DistillationSection()


def value_of(section: Section, key: str, silent: Any) -> Any:
    """The value of a key, or `silent` where the recipe does not mention it."""
    return getattr(section, key) if key in section.model_fields_set else silent


def holds_nothing_out(data: Section) -> bool:
    """Whether there is no validation split unless the source happens to bring one."""
    return not (data.validation_fraction or data.validation_split or data.samples_per_class.validation)


def demanded_evaluation(stage: Stage) -> str | None:
    """The first of a stage's settings that needs a validation split; None where nothing does."""
    if stage.early_stopping:
        return "early_stopping"
    if stage.only_if_better:
        return "only_if_better"
    if stage.refit:
        return "refit"
    if value_of(stage.training, "metric_for_best_model", None):
        return "training.metric_for_best_model"
    wanted = (key for key, values in _EVALUATING.items() if value_of(stage.training, key, None) in values)
    return next((f"training.{key}" for key in wanted), None)


def check_stage(recipe: Section, stage: Stage, key: str) -> None:
    if holds_nothing_out(recipe.data) and not recipe.data.streaming and (wanted := demanded_evaluation(stage)):
        raise ValueError(
            f"{f'{key}.' if key else ''}{wanted}: needs a validation split, but data.validation_fraction is 0 and "
            "data.validation_split names none"
        )
    if recipe.data.streaming and stage.training.max_steps < 1:
        raise ValueError("training.max_steps: missing; data.streaming needs it (the length of an epoch is unknown)")
    if recipe.data.streaming and not value_of(stage.training, "dataloader_in_order", True):
        raise ValueError(
            "training.dataloader_in_order: false cannot be combined with data.streaming, whose position a resumed run "
            "could not find again; leave it out"
        )
    if stage.early_stopping and value_of(stage.training, "eval_strategy", "epoch") == "no":
        raise ValueError(f"{key}.early_stopping: needs an evaluation, but training.eval_strategy is no")
    if stage.only_if_better and stage.number == 1:
        raise ValueError(f"{key}.only_if_better: there is no stage before the first; leave it out")
    if stage.only_if_better and value_of(stage.training, "eval_strategy", "epoch") == "no":
        raise ValueError(f"{key}.only_if_better: needs an evaluation, but training.eval_strategy is no")
    if stage.refit and not stage.logistic_regression:
        raise ValueError(f'{key}.refit: needs "logistic_regression": true')
    if stage.logistic_regression:
        _check_regression(recipe, stage, f"{key}.logistic_regression")
    _check_rates(stage, f"{key}.optimizer" if key else "optimizer")
    check_balance(recipe, stage, f"{key}." if key else "")
    check_distillation(stage, f"{key}." if key else "")
    if isinstance(stage.train, Lora):
        check_lora(recipe, stage, key)
    if stage.views > 1 and not stage.cache_features:
        raise ValueError(f'{key}.views: needs "cache_features": true; without it each epoch draws a view of its own')
    if not stage.cache_features:
        return
    if stage.views > 1 and not stage.augmentation.train:
        raise ValueError(f"{key}.views: there is no augmentation.train that would draw them; leave views out")
    if stage.train != "head":
        raise ValueError(f'{key}.cache_features: needs "train": "head"; features change where the backbone trains')
    if recipe.data.streaming:
        raise ValueError(f"{key}.cache_features: cannot be combined with data.streaming")
    if stage.augmentation.mix:
        raise ValueError(
            f"{key}.cache_features: cannot be combined with augmentation.mix; give the stage an "
            '"augmentation" of its own: {}'
        )


def _check_rates(stage: Stage, key: str) -> None:
    """Rates that differ need parameters that differ; features are cached for the head alone."""
    optimizer, head = stage.optimizer, stage.train == "head"
    if (head and optimizer.layer_decay) or (stage.cache_features and optimizer.learning_rates):
        raise ValueError(
            f'{key}: the head alone trains, at training.learning_rate; give the stage an "optimizer" of its own: {{}}'
        )


def _check_regression(recipe: Section, stage: Stage, key: str) -> None:
    if not stage.cache_features:
        raise ValueError(f'{key}: needs "cache_features": true')
    if stage.averaging.ema_decay is not None:
        raise ValueError(f'{key}: has no steps to average over; give the stage an "averaging" of its own: {{}}')
    if stage.early_stopping:
        raise ValueError(f"{key}: has no epochs to stop after; leave early_stopping or logistic_regression out")
    if recipe.model.head and recipe.model.head.hidden_size:
        raise ValueError(f"{key}: solves one layer; leave model.head.hidden_size or logistic_regression out")
