"""Check a recipe without loading data or weights."""

from collections.abc import Iterable
from pathlib import Path

from hf_imgcls.images import Mixing, build_transforms
from hf_imgcls.models import check_model
from hf_imgcls.recipe import check_path, load_recipe, naming_stage, stages_of
from hf_imgcls.training import check_features


def check_recipe(source: str | Path | dict, overrides: Iterable[str] = ()):
    """Load a recipe and check everything that it alone can tell: paths, model configuration, values of transforms.

    Returns:
        The recipe, as `load_recipe` does.

    Raises:
        InputError: the first thing that is wrong, in one line.
    """
    recipe = load_recipe(source, overrides)
    check_path(recipe.data)
    check_model(recipe.model)
    side = recipe.model.image_size or 224
    for stage in stages_of(recipe):
        with naming_stage(stage):
            build_transforms(stage.augmentation.train, (side, side))
            Mixing(stage.augmentation.mix, 2)
            check_features(stage, (side, side))
    return recipe
