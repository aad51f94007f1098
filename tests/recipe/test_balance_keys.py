"""Keys against imbalance, and of repeated augmentation, that exclude each other or others."""

import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import load_recipe

RECIPE = {
    "data": {"path": "photos"},
    "model": {"checkpoint": "some/model"},
    "augmentation": {"train": ["RandomHorizontalFlip"]},
    "training": {"output_dir": "run"},
}
STREAM = ["data.streaming=true", "training.max_steps=5"]
SOLVED = '{"train": "head", "cache_features": true, "logistic_regression": true'
FEATURES = 'stages=[{"train": "head", "cache_features": true}]'


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["loss.class_weights=balanced", "loss.logit_adjustment=1"], "loss.logit_adjustment: class_weights="),
        (["loss.class_weights=balanced", "sampling.balance=1"], "leaves nothing to loss.class_weights"),
        (["loss.logit_adjustment=1", "sampling.balance=1"], "leaves nothing to loss.logit_adjustment"),
        (["loss.focal_gamma=2", "training.label_smoothing_factor=0.1"], "loss.focal_gamma: both it and training.label"),
        (["loss.focal_gamma=2", f"stages=[{SOLVED}}}]"], "stages.0.logistic_regression: with loss.focal_gamma"),
        (["sampling.balance=1", *STREAM], "sampling.balance: a stream comes in its own order"),
        (["sampling.balance=1", f"stages=[{SOLVED}}}]"], "stages.0.sampling.balance: a logistic regression is solved"),
        (["sampling.balance=1", "training.train_sampling_strategy=sequential"], "sampling.balance: training.train_"),
        (["augmentation.repeats=3", *STREAM], "augmentation.repeats: a stream comes in its own order"),
        (["augmentation.repeats=3", FEATURES], "stages.0.augmentation.repeats: cached features are computed once"),
        (["augmentation.repeats=3", "augmentation.train=[]"], "augmentation.repeats: there is no augmentation.train"),
        (["augmentation.repeats=3", "training.train_sampling_strategy=sequential"], "augmentation.repeats: training."),
        (["data.long_tail=9", "data.samples_per_class.train=9"], "data: long_tail: samples_per_class.train makes all"),
    ],
)
def test_what_cannot_be_right_together_is_one_line(overrides, line):
    with pytest.raises(InputError) as caught:
        load_recipe(RECIPE, overrides)
    assert line in str(caught.value)
    assert len(str(caught.value)) < 400
    for number in range(len(overrides)):  # each alone is allowed
        if not overrides[number].startswith("augmentation.train") and overrides != [*overrides[:1], *STREAM]:
            load_recipe(RECIPE, overrides[:number] + overrides[number + 1 :])


@pytest.mark.parametrize(
    "overrides",
    [
        ['loss.class_weights={"cat": 3}', "sampling.balance=1"],  # a cost, on classes drawn alike
        ['loss.class_weights={"cat": 3}', "loss.logit_adjustment=1", "loss.focal_gamma=2"],
        ["loss.class_weights=balanced", "sampling.balance=0.5"],  # each corrects a part
        ["loss.logit_adjustment=1", "training.label_smoothing_factor=0.1", 'augmentation.mix=["MixUp"]'],
        ["loss.logit_adjustment=1", f"stages=[{SOLVED}}}]"],
        ["sampling.balance=1", f'stages=[{SOLVED}, "sampling": {{}}}}, {{"train": "all"}}]'],
        ["sampling.balance=1", FEATURES, "augmentation.train=[]"],
        ["sampling.balance=1", "augmentation.repeats=3"],
    ],
)
def test_what_is_right_together_is_allowed(overrides):
    load_recipe(RECIPE, overrides)
