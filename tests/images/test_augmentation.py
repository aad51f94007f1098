"""The recipe's augmentation: torchvision's transforms by name, and one-line errors."""

import pytest
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2

from hf_imgcls.errors import InputError
from hf_imgcls.images.augmentation import build_transforms


def refusal(*specs, size=(24, 24)) -> str:
    with pytest.raises(InputError) as caught:
        build_transforms(list(specs), size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_transforms_are_torchvisions_by_name_with_arguments():
    chain = build_transforms(
        [
            {"RandomResizedCrop": {"scale": [0.5, 1.0], "interpolation": "bicubic"}},
            {"RandomApply": {"transforms": [{"ColorJitter": {"brightness": 0.5}}, "RandomGrayscale"], "p": 0.3}},
            {"RandomChoice": {"transforms": ["RandomHorizontalFlip", {"RandomRotation": {"degrees": 10}}]}},
            {"AutoAugment": {"policy": "cifar10"}},
        ],
        (24, 32),
    ).transforms
    assert [type(each) for each in chain] == [v2.RandomResizedCrop, v2.RandomApply, v2.RandomChoice, v2.AutoAugment]
    assert chain[0].size == [24, 32]
    assert chain[0].interpolation == InterpolationMode.BICUBIC
    assert [type(each) for each in chain[1].transforms] == [v2.ColorJitter, v2.RandomGrayscale]
    assert chain[1].p == 0.3
    assert chain[2].transforms[1].degrees == [-10.0, 10.0]
    assert chain[3].policy == AutoAugmentPolicy.CIFAR10


def test_a_size_that_is_said_wins_where_the_result_fits():
    chain = build_transforms([{"Resize": {"size": 40}}, "CenterCrop"], (24, 24)).transforms
    assert (chain[0].size, chain[1].size) == ([40], [24, 24])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("RandomResizedCrp", 'v2 has no transform \'RandomResizedCrp\'; did you mean "RandomResizedCrop"?'),
        ("Transform", "has no transform 'Transform'"),
        ({"Resize": {"sise": 3}}, 'train.0.Resize.sise: unknown argument; did you mean "size"?'),
        ({"Resize": {"self": 3}}, "train.0.Resize.self: unknown argument"),
        ({"Resize": {"size": "big"}}, "train.0.Resize: size can be an integer"),
        ({"Resize": {"interpolation": "bicubi"}}, 'hamming, lanczos; did you mean "bicubic"?'),
        ({"Resize": {"interpolation": 99}}, "train.0.Resize.interpolation: found 99, expected one of nearest"),
        ({"AutoAugment": {"policy": "cifar"}}, 'expected one of imagenet, cifar10, svhn; did you mean "cifar10"?'),
        ({"RandomHorizontalFlip": {"p": 2}}, "train.0.RandomHorizontalFlip: `p` should be"),
        ({"RandomHorizontalFlip": {"p": "often"}}, "train.0.RandomHorizontalFlip: "),
        ({"RandomResizedCrop": {"scale": [0.9, 0.1]}}, "train: fails on a "),
        ({"RandomApply": {"transforms": ["RandomHorizontalFlp"]}}, "train.0.RandomApply.transforms.0: torchvision"),
        ({"RandomApply": {"transforms": "RandomHorizontalFlip"}}, "found 'RandomHorizontalFlip', expected a list"),
        ({"RandomApply": {"transforms": [3]}}, "transforms.0: found 3, expected a transform's name"),
        ("RandomApply", "train.0.RandomApply: "),
        ({"Resize": {}, "CenterCrop": {}}, "train.0: one transform per entry, found 2"),
        ({}, "train.0: one transform per entry, found 0"),
        (
            {"RandomApply": {"transforms": [{"RandomErasing": {"value": "random"}}]}},
            'train.0.RandomApply.transforms.0.RandomErasing.value: "random" is noise',
        ),
        ({"MixUp": {"num_classes": 3}}, "train.0.MixUp: it mixes the images of a batch"),
        ("CutMix", "train.0.CutMix: it mixes"),
        ({"Normalize": {"mean": [0.5], "std": [0.5]}}, "train.0.Normalize: leave it out"),
        ({"Resize": {"size": 40}}, "turns a 129x79 image into uint8 of shape (3, 40, 65), needed is uint8 of shape"),
        ({"Pad": {"padding": 2}}, "turns a 24x24 image into uint8 of shape (3, 28, 28)"),
        ("Grayscale", "into uint8 of shape (1, 24, 24)"),
        ("ToPILImage", "turns a 24x24 image into Image"),
        ("FiveCrop", "into tuple"),
        ({"RandomChoice": {"transforms": ["RandomResizedCrop", "RandomHorizontalFlip"]}}, "needed is uint8 of shape"),
        ({"Lambda": {"lambd": "x"}}, "train: fails on a 24x24 image: 'str' object is not callable"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Scale and ratio")
def test_what_a_transform_cannot_be(spec, message):
    assert message in refusal(spec)


def test_noise_comes_last():
    line = refusal("Resize", {"RandomErasing": {"value": "random"}}, "RandomHorizontalFlip")
    assert 'train.1.RandomErasing.value: "random" is noise' in line
    assert line.endswith("make it the last of train")


def test_the_position_of_a_wrong_transform_is_named():
    assert "augmentation.train.2: " in refusal("Resize", "RandomHorizontalFlip", "RandomVertcalFlip")


@pytest.mark.parametrize(
    "spec",
    [
        {"Resize": {"size": 99999}},
        {"Pad": {"padding": 10**6}},
        {"RandAugment": {"num_magnitude_bins": 10**10}},
        {"ElasticTransform": {"sigma": 1e8}},
        {"RandomZoomOut": {"side_range": [1000, 2000], "p": 1.0}},
    ],
)
def test_transforms_that_no_memory_holds_are_refused_before_they_take_it(spec):
    with pytest.raises(InputError, match=r"augmentation\.train"):
        build_transforms([spec, "Resize"], (16, 16))


def test_transforms_that_come_to_no_end_are_ended(monkeypatch):
    monkeypatch.setattr("hf_imgcls.images.bounded._SECONDS", 0.05)
    with pytest.raises(InputError, match=r"takes more than 0\.05 s on a few images"):
        build_transforms([{"RandAugment": {"num_ops": 10**9}}], (16, 16))
