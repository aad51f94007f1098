"""The section of calibration: what cannot be right together is one line."""

import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.load import load_recipe

RECIPE = {
    "data": {"path": "photos"},
    "model": {"checkpoint": "a/b"},
    "calibration": {"temperature_scaling": True},
    "training": {"output_dir": "run"},
}
SOLVED = {"train": "head", "cache_features": True, "logistic_regression": True, "refit": True}


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"stages": [SOLVED]}, "after stages.0.refit no image is left"),
        ({"stages": [{"train": {"lora": {"rank": 2, "save": "adapter"}}}]}, "the adapter of stages.0.train.lora"),
        ({"training": {"output_dir": "run", "fsdp": "full_shard"}}, "cannot be combined with fsdp"),
        (
            {
                "data": {"path": "photos", "streaming": True, "label_names": ["a", "b"]},
                "training": {"output_dir": "run", "max_steps": 2},
            },
            "cannot be combined with data.streaming",
        ),
    ],
)
def test_what_cannot_be_right_together_is_one_line(more, line):
    with pytest.raises(InputError, match=f"calibration.temperature_scaling: {line}"):
        load_recipe({**RECIPE, **more})


def test_what_is_right_together_is_allowed():
    recipe = load_recipe({**RECIPE, "stages": [{"train": {"lora": {"rank": 2}}}, {**SOLVED, "refit": False}]})
    assert recipe.calibration.temperature_scaling
