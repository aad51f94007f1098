"""What a recipe can contain, and loading one."""

from hf_imgcls.recipe.check import (
    BUILT_IN_ARCHITECTURES,
    check_mixes,
    check_settings,
    check_transforms,
    name_and_arguments,
    naming_stage,
)
from hf_imgcls.recipe.data_section import PerSplit
from hf_imgcls.recipe.distillation import DistillationSection
from hf_imgcls.recipe.ensemble import naming_network, network_folder, networks_of
from hf_imgcls.recipe.fields import NOT_IN_A_RECIPE
from hf_imgcls.recipe.load import as_run, load_recipe
from hf_imgcls.recipe.lora import Lora, LoraSection
from hf_imgcls.recipe.places import (
    DATA_FILES,
    beside,
    check_output_dir,
    check_outside,
    check_path,
    check_unknown_path,
    lies_in,
    local_path,
    resolve_checkpoint,
)
from hf_imgcls.recipe.schema import json_schema, stages_of
from hf_imgcls.recipe.sections import (
    MOST_PIXELS,
    AveragingSection,
    DataSection,
    HeadSection,
    LossSection,
    ModelSection,
    OptimizerSection,
    ProcessorSection,
    Transform,
)
from hf_imgcls.recipe.several import check_seeds, one_of
from hf_imgcls.recipe.shipped import SCHEMA, copy_recipe, describe_recipes, shipped_folder, shipped_recipes
from hf_imgcls.recipe.stage import LastBlocks, Stage, Trained, demanded_evaluation, value_of
from hf_imgcls.recipe.tune_section import RangeSection, Space, as_overrides, check_space, corners, extremes
