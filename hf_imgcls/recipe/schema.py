"""The whole recipe: sections that follow from TrainingArguments, checks across sections, stages, the JSON schema."""

import functools
import json
from importlib import metadata

from pydantic import Field, ValidationError, create_model, model_validator

from hf_imgcls.recipe import sections
from hf_imgcls.recipe.calibration import check_calibration
from hf_imgcls.recipe.check_labels import check_labels
from hf_imgcls.recipe.fields import NOT_IN_A_RECIPE, VALUES
from hf_imgcls.recipe.installed import as_type, installed
from hf_imgcls.recipe.rejection import check_rejection
from hf_imgcls.recipe.sections import Section
from hf_imgcls.recipe.stage import Stage, StageKeys, check_stage, holds_nothing_out, value_of

# TrainingArguments checks almost no ranges; these values would fail late or, worse, not at all.
_RANGES = (
    ({"ge": 0}, ("learning_rate", "weight_decay", "warmup_steps", "max_grad_norm", "dataloader_num_workers")),
    ({"gt": 0}, ("num_train_epochs", "adam_epsilon", "logging_steps", "save_steps", "eval_steps")),
    ({"ge": 1}, ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps")),
    ({"ge": 1}, ("save_total_limit", "ddp_timeout")),
    ({"ge": 0, "lt": 1}, ("adam_beta1", "adam_beta2", "label_smoothing_factor")),
    ({"ge": 0, "le": 2**32 - 1}, ("seed", "data_seed")),
    ({"ge": -1}, ("max_steps",)),
    (
        {"ge": 1},
        ("eval_accumulation_steps", "torch_empty_cache_steps", "dataloader_prefetch_factor", "ddp_bucket_cap_mb"),
    ),
    ({"ge": 0}, ("eval_delay",)),
    ({"min_length": 1}, ("metric_for_best_model",)),
)
# A stage cannot override these: there is one folder, one launch, one precision and one push per run.
_OF_THE_RUN = (
    "output_dir",
    "push_to_hub",
    "hub_",
    "use_cpu",
    "ddp_",
    "fsdp",
    "deepspeed",
    "accelerator_config",
    "fp16",
    "bf16",
)
MIXES = {"MixUp": ["alpha", "per_image"], "CutMix": ["alpha", "per_image"], "Identity": []}
# Transforms of our own, beside torchvision's, and their arguments.
OWN_TRANSFORMS = {"RandomAffineReflect": ["degrees", "translate", "scale"]}


def stages_of(recipe: Section) -> list[Stage]:
    """The stages of a recipe; a single one that trains all parameters if it lists none."""
    if not recipe.stages:
        whole = (recipe.augmentation, recipe.training, False, recipe.averaging, recipe.optimizer)
        further = {"sampling": recipe.sampling, "distillation": recipe.distillation}
        return [Stage(1, "all", False, False, False, None, *whole, **further)]
    stages = []
    for number, own in enumerate(recipe.stages, 1):
        augmentation = recipe.augmentation if own.augmentation is None else own.augmentation
        averaging = recipe.averaging if own.averaging is None else own.averaging
        optimizer = recipe.optimizer if own.optimizer is None else own.optimizer
        sampling = recipe.sampling if own.sampling is None else own.sampling
        distillation = recipe.distillation if own.distillation is None else own.distillation
        training = _merged(recipe.training, own.training)
        how = (own.cache_features, own.logistic_regression, own.only_if_better, own.early_stopping)
        further = (averaging, optimizer, own.refit, own.views, sampling, distillation)
        stages.append(Stage(number, own.train, *how, augmentation, training, True, *further))
    return stages


def _merged(training: Section, own: Section) -> Section:
    base, overrides = (section.model_dump(mode="json", exclude_unset=True) for section in (training, own))
    return type(training).model_validate_json(json.dumps({**base, **overrides}))


def _check_training(section: Section) -> Section:
    """Combinations that TrainingArguments would refuse only when it is created, on the machine that trains."""
    if section.remove_unused_columns and "remove_unused_columns" in section.model_fields_set:
        raise ValueError("remove_unused_columns must be false: images are read from the columns it removes")
    if section.max_steps == 0:
        raise ValueError("max_steps: 0 would train num_train_epochs; give a number of at least 1, or leave it out")
    if section.fp16 and section.bf16:
        raise ValueError("fp16 and bf16 exclude each other")
    if section.load_best_model_at_end:
        evaluate, save = (value_of(section, key, "epoch") for key in ("eval_strategy", "save_strategy"))
        if save != "best" and evaluate != save:
            raise ValueError(f"load_best_model_at_end needs eval_strategy = save_strategy, found {evaluate} and {save}")
    return section


def _check_recipe(recipe: Section) -> Section:
    recipe.data._multi_label = recipe.model.multi_label
    if recipe.data.folds and recipe.training.push_to_hub:
        raise ValueError(
            "training.push_to_hub: the runs of a cross-validation are not pushed; leave it out, and push the final "
            "model, which is trained without data.folds"
        )
    for number, stage in enumerate(recipe.stages):
        try:
            _merged(recipe.training, stage.training)
        except ValidationError as error:
            raise ValueError(f"stages.{number}.training: {error.errors()[0]['ctx']['error']}") from None
    check_labels(recipe, stages_of(recipe))
    for stage in stages_of(recipe):
        check_stage(recipe, stage, f"stages.{stage.number - 1}" if stage.listed else "")
    if recipe.ensemble.networks:
        _check_ensemble(recipe)
    check_rejection(recipe)
    check_calibration(recipe)
    return recipe


def _check_ensemble(recipe: Section) -> None:
    if recipe.data.streaming:
        raise ValueError("ensemble: cannot be combined with data.streaming")
    if not recipe.ensemble.average and holds_nothing_out(recipe.data):
        raise ValueError("ensemble.average: false needs a validation split, on which the best network is chosen")
    further = {f"ensemble.networks.{number}.": each for number, each in enumerate(recipe.ensemble.networks)}
    for place, network in {"": recipe, **further}.items():
        if network.model.checkpoint is None and recipe.ensemble.average:
            raise ValueError(f"{place}model: networks that are averaged have one image processor, that of a checkpoint")
        for key in ("head", "feature_point"):
            if getattr(network.model, key) and recipe.ensemble.average:
                raise ValueError(f"{place}model.{key}: a custom head cannot be averaged with other networks")
        for number, stage in enumerate(network.stages or ()):
            if stage.refit:
                why = "the networks of an ensemble are compared on validation; leave it out"
                raise ValueError(f"{place}stages.{number}.refit: {why}")


@functools.cache
def recipe_model() -> type[Section]:
    """The pydantic model of a whole recipe, with the `training` section of the installed transformers."""
    ranges = {name: limits for limits, names in _RANGES for name in names}
    fields = {
        name: (as_type(VALUES.get(name, kind)), Field(default, description=text or None, **ranges.get(name, {})))
        for name, (kind, default, text) in installed()["training"].items()
        if name not in NOT_IN_A_RECIPE
    }
    run_folder = "Run folder: checkpoints, the model, its metrics and its card."
    fields["output_dir"] = (str, Field(min_length=1, description=run_folder))
    validators = {"check": model_validator(mode="after")(_check_training)}
    TrainingSection = create_model("TrainingSection", __base__=Section, __validators__=validators, **fields)
    own = {name: field for name, field in fields.items() if not name.startswith(_OF_THE_RUN)}
    StageTrainingSection = create_model("StageTrainingSection", __base__=Section, **own)

    class StageSection(StageKeys):
        training: StageTrainingSection = StageTrainingSection()
        """Overrides of the recipe's training section in this stage."""

    class NetworkSection(Section):
        model: sections.ModelSection
        """As the recipe's."""
        augmentation: sections.AugmentationSection | None = None
        """Replaces the recipe's."""
        stages: list[StageSection] | None = None
        """Replace the recipe's."""

    class EnsembleSection(Section):
        """Further networks that are trained on the same data."""

        networks: list[NetworkSection] = Field([])
        """Beside the recipe's own."""
        average: bool = True
        """Save the mean of the networks' probabilities as one model, where it is better on validation than each of
        them; false: save the network that is best on validation."""

    class Recipe(sections.Recipe):
        stages: list[StageSection] = Field([])
        """Stages in order; each starts from the weights of the one before."""
        ensemble: EnsembleSection = Field(EnsembleSection(), description=EnsembleSection.__doc__)
        training: TrainingSection
        """transformers.TrainingArguments, key by key; output_dir is the run folder."""
        _check = model_validator(mode="after")(_check_recipe)

    return Recipe


def json_schema() -> dict:
    """JSON schema for editors; `$comment` names the versions of the packages it describes."""
    schema = recipe_model().model_json_schema()
    definitions = schema["$defs"]
    schema["$comment"] = ", ".join(f"{name} {metadata.version(name)}" for name in ("transformers", "torchvision"))
    schema["title"] = "hf_imgcls recipe"
    definitions["TrainingSection"]["description"] = "transformers.TrainingArguments"
    of_a_stage = "the keys of transformers.TrainingArguments that a stage may override"
    definitions["StageTrainingSection"]["description"] = of_a_stage
    for key, known in {"train": [*installed()["transforms"], *OWN_TRANSFORMS], "mix": MIXES}.items():
        names = sorted(known)
        one = {"propertyNames": {"enum": names}, "additionalProperties": {"type": "object"}}
        either = [{"type": "string", "enum": names}, {"type": "object", **one, "minProperties": 1, "maxProperties": 1}]
        definitions["AugmentationSection"]["properties"][key]["items"] = {"anyOf": either}
    return schema
