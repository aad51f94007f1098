"""What happens to an image: the recipe's transforms, their draws, and the reading of evaluation images."""

import io

import numpy as np
import pytest
import torch
from conftest import make_image
from PIL import Image
from tiny import PROCESSORS
from torchvision.transforms.v2 import functional as F

from hf_imgcls.errors import InputError
from hf_imgcls.images.augmentation import build_transforms
from hf_imgcls.images.read import read_image
from hf_imgcls.images.transforms import EvalTransform, TrainTransform

VIT = PROCESSORS["ViT"]
BIT = PROCESSORS["BiT"]


def rows(*numbers: int, size=(50, 40)) -> dict[str, list]:
    return {
        "image": [make_image("red", number, size) for number in numbers],
        "label": [number % 3 for number in numbers],
        "row": list(numbers),
    }


@pytest.mark.parametrize("name", PROCESSORS)
def test_without_transforms_training_sees_what_evaluation_sees(name):
    processor = PROCESSORS[name]()
    training = TrainTransform([], processor, range(3), seed=0)
    batch = rows(1, 2, size=(61, 47))
    seen, scored = training(batch), EvalTransform(processor, range(3))(batch)
    assert seen["labels"] == scored["labels"] == [1, 2]
    for pixels, floats in zip(seen["pixel_values"], scored["pixel_values"], strict=True):
        assert pixels.dtype == torch.uint8
        assert torch.allclose(pixels * training.scale + training.shift, floats, atol=1e-5 * training.scale.max() * 255)


def test_a_model_that_wants_blue_first_gets_it_and_the_transforms_see_red_first():
    """Colour transforms know luminance: on swapped channels grey would be another grey."""
    specs = ["Resize", {"Grayscale": {"num_output_channels": 3}}]
    red, blue = (Image.new("RGB", (30, 30), name) for name in ("red", "blue"))
    for processor in (VIT(), PROCESSORS["MobileViT, blue first"]()):
        batch = {"image": [red, blue], "label": [0, 0], "row": [0, 1]}
        grey = TrainTransform(specs, processor, [0], 0)(batch)["pixel_values"]
        assert [pixels[0, 0, 0].item() for pixels in grey] == [76, 29]  # 0.299 and 0.114 of 255
    pure = TrainTransform(["Resize"], PROCESSORS["MobileViT, blue first"](), [0], 0)(batch)["pixel_values"]
    assert [pixels[:, 0, 0].tolist() for pixels in pure] == [[0, 0, 255], [255, 0, 0]]


def test_a_training_image_is_the_image():
    """Read without a copy, and yet what torchvision would have read."""
    training = TrainTransform([{"CenterCrop": {}}], VIT(), [0], 0)
    image = make_image("green", 3, (24, 24))
    seen = training({"image": [image], "label": [0], "row": [0]})["pixel_values"][0]
    assert torch.equal(seen, F.pil_to_tensor(image))


@pytest.mark.parametrize(
    "spec",
    [
        "RandAugment",
        "TrivialAugmentWide",
        "AugMix",
        "AutoAugment",
        "RandomErasing",
        {"RandomErasing": {"value": [120, 120, 120]}},
        {"RandomAffine": {"degrees": 10}},
        {"GaussianBlur": {"kernel_size": 3}},
    ],
)
def test_the_usual_ones_work_on_uint8(spec):
    batch = TrainTransform(["RandomResizedCrop", spec], VIT(), range(3), 0)(rows(*range(8)))
    assert all(pixels.dtype == torch.uint8 and pixels.shape == (3, 24, 24) for pixels in batch["pixel_values"])


def test_a_image_that_a_transform_cannot_take_is_named_by_its_size():
    training = TrainTransform(["RandomCrop"], VIT(), range(3), 0)
    with pytest.raises(InputError, match=r"fails on a 20x10 image: Required crop size"):
        training(rows(1, size=(20, 10)))


AUGMENTATION = [
    {"RandomResizedCrop": {"scale": [0.3, 1.0]}},
    "RandomHorizontalFlip",
    {"RandomChoice": {"transforms": ["RandAugment", {"ColorJitter": {"hue": 0.2}}, "RandomErasing"]}},
]


def images(training, *numbers) -> dict[int, torch.Tensor]:
    return dict(zip(numbers, training(rows(*numbers))["pixel_values"], strict=True))


def test_draws_depend_on_seed_epoch_and_row_alone():
    training = TrainTransform(AUGMENTATION, VIT(), range(3), seed=1)
    whole = images(training, *range(8))
    torch.manual_seed(99)
    others = images(training, 5, 2, 7)
    assert all(torch.equal(whole[number], others[number]) for number in others)
    again = images(TrainTransform(AUGMENTATION, VIT(), range(3), seed=1), 3)
    assert torch.equal(again[3], whole[3])

    def differ(other) -> int:
        return sum(not torch.equal(whole[number], other[number]) for number in whole)

    assert differ(images(TrainTransform(AUGMENTATION, VIT(), range(3), seed=2), *range(8))) == 8
    training.epoch.fill_(1)
    assert differ(images(training, *range(8))) == 8
    training.epoch.fill_(0)
    assert differ(images(training, *range(8))) == 0


def test_the_same_image_in_another_row_is_drawn_anew():
    training = TrainTransform(AUGMENTATION, VIT(), range(3), seed=1)
    image = make_image("red", 1, (50, 40))
    one, two = training({"image": [image, image], "label": [0, 0], "row": [0, 1]})["pixel_values"]
    assert not torch.equal(one, two)


def test_the_generators_of_the_process_are_left_as_they_were():
    training = TrainTransform(AUGMENTATION, VIT(), range(3), seed=1)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    training(rows(1, 2, 3))
    build_transforms(AUGMENTATION, (24, 24))
    with pytest.raises(InputError):
        build_transforms(["Resize", "Grayscale"], (24, 24))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.rand(3), expected)


def test_workers_that_outlive_an_epoch_see_the_next_one_begin():
    """A DataLoader's workers hold a copy of the transform: the epoch lies in memory that they share."""
    training = TrainTransform(["RandomResizedCrop"], VIT(), range(3), seed=1)

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, number):
            return training(rows(number))["pixel_values"][0]

    loader = torch.utils.data.DataLoader(Rows(), batch_size=4, num_workers=1, persistent_workers=True)
    first = next(iter(loader))
    training.epoch.fill_(1)
    second = next(iter(loader))
    here = torch.stack(list(images(training, 0, 1, 2, 3).values()))
    assert torch.equal(second, here)
    assert not torch.equal(first, second)


def test_labels_become_the_models_ids():
    for transform in (TrainTransform([], VIT(), [2, 0, 1], 0), EvalTransform(VIT(), [2, 0, 1])):
        assert transform(rows(0, 1, 2))["labels"] == [2, 0, 1]


def test_evaluation_is_the_processor_and_nothing_else():
    processor = BIT()
    image = make_image("blue", 1, (70, 30))
    seen = EvalTransform(processor, [0])({"image": [image], "label": [0]})["pixel_values"][0]
    assert torch.equal(seen, processor(image, return_tensors="pt")["pixel_values"][0])


def jpeg(image: Image.Image) -> dict:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return {"bytes": stream.getvalue(), "path": None}


@pytest.mark.parametrize(
    "specs",
    [
        AUGMENTATION,
        AUGMENTATION[:1],
        AUGMENTATION[:2],
        ["Resize", {"RandomHorizontalFlip": {"p": 0.7}}],
        ["RandomHorizontalFlip", "RandomResizedCrop"],
        [],
    ],
)
def test_files_are_augmented_as_the_images_in_them(specs):
    """Whether the first transform is part of reading or not, all draws after it are the same ones."""
    training = TrainTransform(specs, VIT(), range(3), seed=1)
    files = rows(*range(8), size=(40, 33))  # too small to be reduced
    files["image"] = [jpeg(image) for image in files["image"]]
    images = {**files, "image": [read_image(file) for file in files["image"]]}
    read, given = training(files)["pixel_values"], training(images)["pixel_values"]
    assert all(torch.equal(one, other) for one, other in zip(read, given, strict=True))
    for made, image, row in zip(read, images["image"], files["row"], strict=True):
        if specs:
            torch.manual_seed(int(np.random.SeedSequence([1, 0, row]).generate_state(1, np.uint64)[0] >> 1))
            assert torch.equal(made, training.transform(F.pil_to_tensor(image)))
