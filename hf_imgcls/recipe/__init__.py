"""What a recipe can contain, and loading one."""

from hf_imgcls.recipe.check import (
    DATA_FILES,
    check_path,
    check_settings,
    naming_stage,
    resolve_checkpoint,
)
from hf_imgcls.recipe.installed import cached_json
from hf_imgcls.recipe.load import as_run, load_recipe
from hf_imgcls.recipe.schema import Stage, json_schema, stages_of
from hf_imgcls.recipe.sections import (
    DataSection,
    HeadSection,
    LastBlocks,
    LossSection,
    ModelSection,
    ProcessorSection,
    Trained,
    Transform,
)
from hf_imgcls.recipe.shipped import copy_recipe, describe_recipes, shipped_folder, shipped_recipes
from hf_imgcls.recipe.training_fields import value_of
from hf_imgcls.recipe.transforms import check_mixes, check_transforms, name_and_arguments
