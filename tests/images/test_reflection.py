"""RandomAffineReflect: torchvision's draws, Keras's filling."""

import inspect

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode, v2

from hf_imgcls.errors import InputError
from hf_imgcls.images.augmentation import build_transforms, random_transform
from hf_imgcls.images.reflection import RandomAffineReflect
from hf_imgcls.recipe.schema import OWN_TRANSFORMS

ARGUMENTS = {"degrees": [20, 70], "translate": [0.2, 0.3], "scale": [0.7, 1.3]}


def photo(height: int, width: int) -> torch.Tensor:
    """Smooth, bright everywhere, without any symmetry."""
    y, x = np.mgrid[:height, :width] / 10
    levels = [60 + 7 * x + 3 * y + 30 * np.sin(x + channel) for channel in range(3)]
    return torch.tensor(np.clip(levels, 40, 255).round().astype(np.uint8))


def padded(image: torch.Tensor, by: int) -> torch.Tensor:
    return torch.tensor(np.pad(image.numpy(), ((0, 0), (by, by), (by, by)), mode="symmetric"))


@pytest.mark.parametrize(("height", "width"), [(40, 40), (48, 36)])
def test_it_is_randomaffine_on_the_reflected_image(height, width):
    image, reflect = photo(height, width), RandomAffineReflect(**ARGUMENTS)
    reference = v2.RandomAffine(**ARGUMENTS)
    for seed in range(8):
        torch.manual_seed(seed)
        made = reflect(image)
        torch.manual_seed(seed)
        drawn = reference.make_params([image])
        larger = v2.functional.affine(padded(image, 36), interpolation=InterpolationMode.BILINEAR, **drawn)
        expected = v2.functional.center_crop(larger, [height, width])
        assert made.dtype == torch.uint8
        assert (made.int() - expected.int()).abs().max() <= 1  # its rounding


def test_a_shift_by_whole_pixels_is_exactly_numpys_reflection():
    image = photo(30, 20)
    made = RandomAffineReflect(0).transform(image, {"angle": 0.0, "translate": (6, -9), "scale": 1.0, "shear": (0, 0)})
    assert torch.equal(made, padded(image, 9)[:, 9 + 9 : 9 + 9 + 30, 9 - 6 : 9 - 6 + 20])


def test_no_corner_is_black_as_a_recipe_has_it():
    specs = ["RandomHorizontalFlip", {"RandomAffineReflect": {"degrees": 36, "scale": [0.83, 1.25]}}]
    reflect = build_transforms(specs, (40, 40))
    black = build_transforms([{"RandomAffine": {"degrees": [30, 36]}}], (40, 40))
    bright = torch.full((3, 40, 40), 200, dtype=torch.uint8)
    assert black(bright).min() == 0
    assert all(reflect(bright).min() == 200 for _ in range(10))
    assert random_transform(specs[1:], (40, 40)) == "RandomAffineReflect"


def test_the_recipe_knows_its_arguments():
    assert list(inspect.signature(RandomAffineReflect).parameters) == OWN_TRANSFORMS["RandomAffineReflect"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"degree": 3}, 'train.0.RandomAffineReflect.degree: unknown argument; did you mean "degrees"?'),
        ({"degrees": 3, "shear": 3}, "train.0.RandomAffineReflect.shear: unknown argument"),
        ({}, "train.0.RandomAffineReflect: .*degrees"),
        ({"degrees": -3}, "train.0.RandomAffineReflect: .*degrees.* must be positive"),
        ({"degrees": 0, "scale": [0, 1]}, "train.0.RandomAffineReflect: scale"),
        ({"degrees": 0, "scale": ["a", 1]}, "train.0.RandomAffineReflect: "),
        ({"degrees": 0, "translate": [2, 0]}, "train.0.RandomAffineReflect: translation"),
        ({"degrees": None}, "train.0.RandomAffineReflect: "),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        build_transforms([{"RandomAffineReflect": arguments}], (24, 24))
    assert "\n" not in str(caught.value)
