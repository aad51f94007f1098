"""What a recipe may say, and loading one."""

from hf_imgcls.recipe.load import as_run, load_recipe
from hf_imgcls.recipe.schema import MIXES, Stage, json_schema, stages_of, transform_names
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
from hf_imgcls.recipe.training_fields import value_of
