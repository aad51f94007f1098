"""Image processors of networks from scratch: what the recipe says of them reaches the saved folder and `pipeline`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline

from hf_imgcls.images.processors import input_size, normalization, process_image
from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.recipe.sections import ModelSection
from hf_imgcls.serving.parity import compare_predictions

LABELS = ["blue", "green", "red"]
ARCHITECTURES = {
    "convnet": {"filters": [4, 6]},
    "mini_xception": {"stem_filters": 4, "filters": [6], "top_filters": 8},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"},
    "timm/test_resnet": {},
}
MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]


def scratch(architecture: str, image_size: int | None = 32, **processor):
    section = {"architecture": architecture, "from_scratch": True, "config": ARCHITECTURES[architecture]}
    if processor:
        section["processor"] = processor
    return build_model(ModelSection(**section, image_size=image_size), LABELS, 0)


def saved(folder, architecture: str, **options):
    model, processor = scratch(architecture, **options)
    with torch.no_grad():  # so that a network that was never trained has opinions
        for tensor in list(model.parameters())[-2:]:
            tensor.mul_(10)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def mean_and_std(processor) -> tuple[list[float], list[float]]:
    """The mean and deviation, of pixels of 0 to 1, that a processor normalises with."""
    scale, shift = normalization(processor)
    std = 1 / (255 * scale)
    return pytest.approx((-shift * std).flatten().tolist(), abs=1e-6), pytest.approx(std.flatten().tolist(), abs=1e-6)


def wide() -> Image.Image:
    """Three squares: red, green, blue."""
    pixels = np.zeros((40, 120, 3), np.uint8)
    for channel in range(3):
        pixels[:, 40 * channel : 40 * channel + 40, channel] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_what_the_recipe_says_is_saved_and_served(architecture, resize, tmp_path):
    model, processor = saved(tmp_path / "run", architecture, resize=resize, image_mean=MEAN, image_std=STD)
    again = load_network(str(tmp_path / "run"))[1]
    for each in (processor, again):
        assert input_size(each) == (32, 32)
        assert mean_and_std(each) == (MEAN, STD)
        pixels = process_image(each, wide()) * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
        row = pixels[:, 16].argmax(dim=0)
        assert row.unique().tolist() == ([1] if resize == "crop" else [0, 1, 2])
        assert (row == 1).sum() == (32 if resize == "crop" else pytest.approx(11, abs=1))
        bars = (pixels - torch.tensor(MEAN).view(3, 1, 1)).abs().amax(dim=(0, 2)) < 1 / 128
        assert bars.tolist() == ([True] * 10 + [False] * 11 + [True] * 11 if resize == "pad" else [False] * 32)

    wide().save(tmp_path / "wide.png")
    rows = [{"image": {"bytes": None, "path": str(tmp_path / "wide.png")}, "name": "wide"}]
    with torch.no_grad():
        logits = model.eval()(pixel_values=process_image(processor, wide())[None]).logits.numpy()
    assert compare_predictions(tmp_path / "run", rows, logits, "cpu", LABELS)["passed"]
    other = {"squash": "crop", "crop": "pad", "pad": "squash"}[resize]
    saved(tmp_path / "other", architecture, resize=other, image_mean=MEAN, image_std=STD)
    assert not compare_predictions(tmp_path / "other", rows, logits, "cpu", LABELS)["passed"]


@pytest.mark.parametrize(
    ("architecture", "mean", "std"),
    [
        ("convnet", [0.0] * 3, [1.0] * 3),
        ("mini_xception", [0.0] * 3, [1.0] * 3),
        ("resnet", [0.5] * 3, [0.5] * 3),
        ("timm/test_resnet", [0.5] * 3, [0.5] * 3),
    ],
)
def test_what_is_not_said_stays_what_the_architecture_has(architecture, mean, std):
    assert mean_and_std(scratch(architecture)[1]) == (mean, std)
    assert mean_and_std(scratch(architecture, image_mean=MEAN)[1]) == (MEAN, std)
    assert mean_and_std(scratch(architecture, image_std=STD)[1]) == (mean, STD)
    assert mean_and_std(scratch(architecture, image_mean=[0.0] * 3, image_std=[1.0] * 3)[1]) == ([0.0] * 3, [1.0] * 3)


def test_timm_keeps_its_own_crop_where_none_is_said():
    silent, _ = scratch("timm/test_resnet")
    mean_alone, _ = scratch("timm/test_resnet", image_mean=MEAN)
    cropped, _ = scratch("timm/test_resnet", resize="crop")
    own = {key: silent.config.pretrained_cfg[key] for key in ("crop_pct", "crop_mode", "std", "interpolation")}
    assert own["crop_pct"] < 1
    assert {key: mean_alone.config.pretrained_cfg[key] for key in own} == own
    assert (cropped.config.pretrained_cfg["crop_pct"], cropped.config.pretrained_cfg["crop_mode"]) == (1.0, "center")


@pytest.mark.parametrize(("architecture", "size"), [("convnet", 180), ("mini_xception", 180), ("resnet", 224)])
@pytest.mark.parametrize("processor", [{}, {"resize": "crop"}])
def test_the_size_is_the_architectures_where_none_is_said(architecture, size, processor):
    assert input_size(scratch(architecture, image_size=None, **processor)[1]) == (size, size)


def test_the_size_reaches_the_configuration_and_the_processor(tmp_path):
    saved(tmp_path, "convnet", image_size=28)
    assert json.loads((tmp_path / "config.json").read_text())["image_size"] == 28
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert settings["size"] == {"height": 28, "width": 28}
    assert settings["do_normalize"] is False
    assert (settings["image_mean"], settings["image_std"]) == ([0, 0, 0], [1, 1, 1])
    served = pipeline("image-classification", str(tmp_path), trust_remote_code=True).image_processor
    pixels = process_image(served, Image.new("RGB", (28, 28), (0, 51, 255)))
    assert pixels[:, 0, 0].tolist() == pytest.approx([0.0, 0.2, 1.0])
