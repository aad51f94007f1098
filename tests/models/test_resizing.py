"""`model.processor` of a checkpoint: how images come to its input, with its own mean unless another is said."""

import pytest
import torch
from conftest import make_image
from PIL import Image
from tiny import PROCESSORS, tiny_model, tiny_processor
from transformers import AutoImageProcessor, pipeline

from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, TrainTransform, input_size, normalization, process_image
from hf_imgcls.models.build import build_model, check_model
from hf_imgcls.models.resizing import apply_section
from hf_imgcls.recipe import load_recipe, networks_of
from hf_imgcls.recipe.sections import ModelSection, ProcessorSection

LABELS = ["blue", "green", "red"]
# A portrait, a panorama of 30 to 1, the narrowest that limits allow, and images smaller than the input.
SHAPES = [(30, 50), (900, 30), (40, 4000), (1, 1), (5, 3)]


def checkpoint(folder, family: str, processor) -> str:
    tiny_model(family).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("family", ["convnext", "timm"])
def test_a_checkpoint_pads_images_of_any_shape_and_is_served_so(family, tmp_path):
    place = checkpoint(tmp_path / "own", family, PROCESSORS["CLIP"]())
    section = ModelSection(checkpoint=place, image_size=64, processor={"resize": "pad"})
    check_model(section)
    model, processor = build_model(section, LABELS, 0)
    model.save_pretrained(tmp_path / "run")
    processor.save_pretrained(tmp_path / "run")
    served = pipeline("image-classification", str(tmp_path / "run")).image_processor
    for width, height in SHAPES:
        image = make_image("red", 1, (width, height))
        pixels = process_image(processor, image)
        assert torch.equal(pixels, process_image(served, image))
        assert pixels.shape == (3, 64, 64)
        shown = (pixels.abs().amax(dim=0) > 0.05).sum()  # the mean is 0, off by less than a level of 255
        rows, columns = (max(1, round(64 * side / max(width, height))) for side in (height, width))
        assert shown == rows * columns, (width, height)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad", None])
@pytest.mark.parametrize("name", ["CLIP", "EfficientNet", "LeViT", "no rescaling", "timm"])
def test_a_mean_and_deviation_that_are_not_said_stay(name, resize):
    own = PROCESSORS[name]()
    config = type("Config", (), {"pretrained_cfg": getattr(own, "data_config", None), "architecture": "resnet10t"})
    found = apply_section(ProcessorSection(resize=resize), config, own)
    assert input_size(found) == (24, 24)
    torch.testing.assert_close(normalization(found), normalization(own), atol=1e-4, rtol=1e-3)
    said = apply_section(ProcessorSection(resize=resize, image_mean=[0.2] * 3, image_std=[0.1] * 3), config, own)
    torch.testing.assert_close(normalization(said)[1], torch.full((3, 1, 1), -2.0), atol=1e-3, rtol=1e-3)
    if resize is None:
        image, (scale, shift), (new, offset) = make_image("red", 2, (50, 31)), normalization(own), normalization(said)
        expected = (process_image(own, image) - shift) / scale
        torch.testing.assert_close((process_image(said, image) - offset) / new, expected, atol=0.1, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "section", "line"),
    [
        ("SigLIP, not square", {"resize": "pad"}, "pad is for square inputs, and this network's is 32x24"),
        ("MobileViT, blue first", {"resize": "pad"}, "this network takes blue, green and red in that order"),
        ("ViT", {"resize": "pad", "image_mean": [0.5, 1.5, 0.5]}, "is no colour"),
        ("MobileViT, blue first", {"image_mean": [0.1, 0.2, 0.3]}, "cannot normalise with another mean"),
    ],
)
def test_what_cannot_be_is_one_line(name, section, line, tmp_path):
    place = checkpoint(tmp_path, "convnext", PROCESSORS[name]())
    with pytest.raises(InputError, match=line) as caught:
        check_model(ModelSection(checkpoint=place, processor=section))
    assert len(str(caught.value)) < 400


def test_training_images_are_padded_unless_a_transform_has_a_size():
    processor = PROCESSORS["Janus, letterbox"]()
    row = {"image": [Image.new("RGB", (48, 12), "white")], "label": [0], "row": [0]}
    flipped, cropped = (
        TrainTransform([name], processor, [0], seed=1)(row)["pixel_values"][0]
        for name in ("RandomHorizontalFlip", "RandomResizedCrop")
    )
    assert flipped[:, 0, 0].tolist() == [102, 127, 153]
    assert flipped[:, 12].min() == cropped.min() == 255


def test_an_image_too_narrow_for_timm_is_one_line():
    """timm rounds the shorter side to 0 pixels; Janus leaves it one."""
    rows = {"image": [Image.new("RGB", (90, 1))], "label": [0], "row": [0]}
    assert EvalTransform(PROCESSORS["Janus, letterbox"](), [0])(rows)["pixel_values"][0].shape == (3, 24, 24)
    for transform in (
        EvalTransform(PROCESSORS["timm, letterbox"](), [0]),
        TrainTransform([], PROCESSORS["timm, letterbox"](), [0], seed=1),
    ):
        with pytest.raises(InputError, match=r"cannot bring an image of 90x1 pixels .* data.max_aspect_ratio"):
            transform(rows)


def test_networks_that_are_averaged_resize_alike(tmp_path):
    first, second = (checkpoint(tmp_path / kind, kind, tiny_processor()) for kind in ("vit", "swin"))
    recipe = {
        "data": {"path": "photos"},
        "model": {"checkpoint": first, "processor": {"resize": "pad"}},
        "ensemble": {"networks": [{"model": {"checkpoint": second, "processor": {"image_mean": [0.4, 0.4, 0.4]}}}]},
        "training": {"output_dir": "runs/x"},
    }
    model = networks_of(load_recipe(recipe))[1].model
    assert (model.processor_of, model.processor.resize, model.processor.image_mean) == (first, "pad", [0.4] * 3)
    recipe["ensemble"]["networks"][0]["model"]["processor"] = {"resize": "crop"}
    with pytest.raises(InputError, match=r"ensemble.networks.0.model.processor.resize: found 'crop', expected pad"):
        networks_of(load_recipe(recipe))


def test_janus_is_opened_with_the_mean_as_its_colour(tmp_path):
    """A fact about transformers: another colour than the mean does not survive saving."""
    processor = PROCESSORS["Janus, letterbox"]()
    processor.background_color = (1, 2, 3)
    processor.save_pretrained(tmp_path)
    assert AutoImageProcessor.from_pretrained(tmp_path).background_color == (102, 127, 153)
