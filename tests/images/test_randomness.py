"""Whether a transform is random: by its class, and every class of the installed torchvision is known."""

import inspect

import pytest
from torchvision.transforms import v2

from hf_imgcls.images.augmentation import DETERMINISTIC, ON_OR_OFF, RANGES, is_random, random_transform

CONTAINERS = {v2.Compose, v2.RandomApply, v2.RandomChoice, v2.RandomOrder}
RANDOM = {
    v2.AugMix, v2.AutoAugment, v2.ColorJitter, v2.CutMix, v2.ElasticTransform, v2.GaussianNoise, v2.MixUp,
    v2.RandAugment, v2.RandomAffine, v2.RandomChannelPermutation, v2.RandomCrop, v2.RandomErasing, v2.RandomIoUCrop,
    v2.RandomPerspective, v2.RandomPhotometricDistort, v2.RandomResize, v2.RandomResizedCrop, v2.RandomRotation,
    v2.RandomShortestSize, v2.RandomZoomOut, v2.ScaleJitter, v2.TrivialAugmentWide,
    v2.Lambda,  # does whatever it is given
}  # fmt: skip
EXAMPLES = {
    "nothing": ([], None),
    "sizes": (["Resize", {"CenterCrop": {"size": 24}}, "Resize", {"Grayscale": {"num_output_channels": 3}}], None),
    "blur of one sigma": ([{"GaussianBlur": {"kernel_size": 3, "sigma": 1.0}}], None),
    "blur": ([{"GaussianBlur": {"kernel_size": 3}}], "GaussianBlur"),
    "one quality": ([{"JPEG": {"quality": 50}}], None),
    "qualities": ([{"JPEG": {"quality": [50, 60]}}], "JPEG"),
    "always flipped": ([{"RandomHorizontalFlip": {"p": 1.0}}], None),
    "never erased": ([{"RandomErasing": {"p": 0.0}}], None),
    "flip": (["Resize", "RandomHorizontalFlip"], "RandomHorizontalFlip"),
    "once in a thousand": (["Resize", {"RandomHorizontalFlip": {"p": 0.001}}], "RandomHorizontalFlip"),
    "noise": (["Resize", {"RandomErasing": {"p": 0.6, "value": "random"}}], "RandomErasing"),
    "where to erase": ([{"RandomErasing": {"p": 1.0}}], "RandomErasing"),
    "crop": (["RandomResizedCrop"], "RandomResizedCrop"),
    "sometimes applied": ([{"RandomApply": {"transforms": [{"RandomInvert": {"p": 1}}]}}], "RandomApply"),
    "always applied": ([{"RandomApply": {"transforms": [{"RandomInvert": {"p": 1}}], "p": 1}}], None),
    "random inside": ([{"RandomApply": {"transforms": [{"ColorJitter": {"hue": 0.1}}], "p": 1}}], "RandomApply"),
    "one choice": ([{"RandomChoice": {"transforms": [{"RandomInvert": {"p": 1}}]}}], None),
    "two choices": ([{"RandomChoice": {"transforms": ["Identity", {"RandomInvert": {"p": 1}}]}}], "RandomChoice"),
    "order": ([{"RandomOrder": {"transforms": ["Identity", {"RandomInvert": {"p": 1}}]}}], "RandomOrder"),
    "composed": ([{"Compose": {"transforms": ["Identity", "RandomInvert"]}}], "Compose"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_first_random_transform_is_named(name):
    specs, expected = EXAMPLES[name]
    assert random_transform(specs, (32, 32)) == expected


def test_every_transform_of_torchvision_is_classified_once():
    classes = {each for each in vars(v2).values() if isinstance(each, type) and issubclass(each, v2.Transform)}
    groups = [DETERMINISTIC, ON_OR_OFF, set(RANGES), CONTAINERS, RANDOM, {v2.Transform}]
    assert classes == set().union(*groups)
    assert sum(map(len, groups)) == len(classes)


@pytest.mark.parametrize("kind", sorted(DETERMINISTIC, key=str))
def test_a_deterministic_transform_draws_no_random_numbers(kind):
    used = {name for each in vars(kind).values() if inspect.isfunction(each) for name in each.__code__.co_names}
    assert not {"rand", "randint", "randn", "randperm", "uniform_", "random"} & used


def test_a_transform_of_somebody_else_may_be_random():
    class Mine(v2.Resize):
        pass

    assert is_random(Mine(3))
