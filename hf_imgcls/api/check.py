"""The check of a recipe, with which every run begins."""

from collections.abc import Iterable
from pathlib import Path

from hf_imgcls import machine
from hf_imgcls.images import Mixing, build_transforms
from hf_imgcls.models import check_model, check_patterns
from hf_imgcls.recipe import (
    check_output_dir,
    check_path,
    check_unknown_path,
    load_recipe,
    naming_network,
    naming_stage,
    networks_of,
    stages_of,
)
from hf_imgcls.training import NO_CUSTOM, Custom, check_arguments, check_features, check_rates, check_teacher


def check_recipe(source: str | Path | dict, overrides: Iterable[str] = (), custom: Custom = NO_CUSTOM):
    """Load a recipe and check all that needs neither data nor weights: paths, model configuration, transforms."""
    recipe = load_recipe(source, overrides)
    check_path(recipe.data)
    check_output_dir(recipe)
    check_unknown_path(recipe)
    machine.prepare_launch()
    for network in networks_of(recipe):
        with naming_network(network, recipe):
            check_model(network.model, averaged=bool(recipe.ensemble.networks and recipe.ensemble.average))
            _check_stages(network, custom)
    return recipe


def _check_stages(recipe, custom: Custom) -> None:
    side = recipe.model.image_size or 224
    for stage in stages_of(recipe):
        with naming_stage(stage):
            check_patterns(stage.train)
            check_rates(stage.optimizer)
            check_teacher(stage.distillation)
            check_arguments(stage, custom, recipe.model.multi_label)
            build_transforms(stage.augmentation.train, (side, side))
            Mixing(stage.augmentation.mix, 2)
            check_features(stage, (side, side))
