"""A network's channels: a grey image needs no network of its own, and a checkpoint of other channels is adapted."""

import pytest
import torch
import transformers
from conftest import make_image
from PIL import Image
from timm.models import adapt_input_conv
from tiny import stock_model
from transformers import ViTImageProcessor, pipeline

from hf_imgcls.errors import InputError
from hf_imgcls.images import process_image
from hf_imgcls.models.build import build_model, check_model, load_network
from hf_imgcls.models.other_input import _fit_channels
from hf_imgcls.models.resizing import mean_and_deviation
from hf_imgcls.recipe.sections import ModelSection

LABELS = ["LABEL_0", "LABEL_1", "LABEL_2"]
SIZES = {
    "vit": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "image_size": 16,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"},
}


VISION = {**SIZES["vit"], "patch_size": 8}
THREE = {  # how a recipe says that there are to be three channels
    "vit": {"num_channels": 3},
    "resnet": {"num_channels": 3},
    "clip": {"vision_config": {"num_channels": 3}},
    "textnet": {"stem_num_channels": 3},
    "timm": {"model_args": {"in_chans": 3}},
}


def checkpoint(folder, kind: str, channels: int, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)):
    if kind == "timm":
        settings = {"input_size": [channels, 32, 32], "mean": mean, "std": std}
        model = stock_model(
            "timm_wrapper", architecture="test_resnet", model_args={"in_chans": channels}, pretrained_cfg=settings
        )
    elif kind == "clip":
        model = stock_model("clip", vision_config={**VISION, "num_channels": channels}, text_config=SIZES["vit"])
    elif kind == "textnet":
        model = stock_model(kind, stem_num_channels=channels, stem_out_channels=8, hidden_sizes=[8] * 5)
    else:
        model = stock_model(kind, num_channels=channels, **SIZES[kind])
    model.save_pretrained(folder)
    if kind != "timm":  # its settings are the processor
        size = {"height": 16, "width": 16}
        ViTImageProcessor(size=size, image_mean=[*mean], image_std=[*std]).save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("kind", THREE)
def test_a_checkpoint_of_one_channel_predicts_grey_images_as_it_did(kind, tmp_path):
    own = checkpoint(tmp_path / "own", kind, 1, [0.3], [0.2])
    section = ModelSection(checkpoint=str(tmp_path / "own"), config=THREE[kind])
    check_model(section)
    model, processor = build_model(section, LABELS, 0)
    model.save_pretrained(tmp_path / "run")
    processor.save_pretrained(tmp_path / "run")
    grey = make_image("red", 1, (16, 16)).convert("L")
    pixels = process_image(processor, grey.convert("RGB"))
    with torch.no_grad():
        expected = own(pixel_values=pixels[None, :1]).logits.softmax(dim=1)[0]
    scores = {each["label"]: each["score"] for each in pipeline("image-classification", str(tmp_path / "run"))(grey)}
    torch.testing.assert_close(torch.tensor([scores[name] for name in LABELS]), expected, atol=1e-5, rtol=1e-4)


def test_one_channel_would_see_no_more_in_a_grey_image_than_three():
    """Why `num_channels: 1` is refused: the convolution's weights summed over the channels give the same logits."""
    model = stock_model("resnet", **SIZES["resnet"]).eval()
    one = stock_model("resnet", num_channels=1, **SIZES["resnet"]).eval()
    state = model.state_dict()
    stem = "resnet.embedder.embedder.convolution.weight"
    one.load_state_dict({**state, stem: adapt_input_conv(1, state[stem])})
    pixels = process_image(
        ViTImageProcessor(size={"height": 16, "width": 16}), Image.linear_gradient("L").convert("RGB")
    )
    with torch.no_grad():
        torch.testing.assert_close(one(pixels[None, :1]).logits, model(pixels[None]).logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["resnet", "timm"])
def test_mean_and_deviation_of_four_channels_are_cut_off_as_the_weights_are(kind, tmp_path):
    checkpoint(tmp_path / "own", kind, 4, [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8])
    model, processor = build_model(ModelSection(checkpoint=str(tmp_path / "own"), config=THREE[kind]), LABELS, 0)
    mean, std = mean_and_deviation(processor)
    assert mean == pytest.approx([0.1, 0.2, 0.3], abs=1e-5)
    assert std == pytest.approx([0.5, 0.6, 0.7], abs=1e-5)
    model.save_pretrained(tmp_path / "run")
    processor.save_pretrained(tmp_path / "run")
    assert mean_and_deviation(load_network(str(tmp_path / "run"))[1]) == (mean, std)


@pytest.mark.parametrize("channels", [1, 2, 4, 12])
def test_the_stem_is_adapted_as_timm_adapts_it(channels):
    weight = torch.rand(5, channels, 3, 3)
    torch.testing.assert_close(_fit_channels(weight, 3), adapt_input_conv(3, weight, channels))


@pytest.mark.parametrize(
    ("channels", "config", "line"),
    [
        (1, {}, "found 1, must be 3: .* model.config.num_channels=3 adapts the checkpoint's first convolution"),
        (4, {}, "found 4, must be 3: .* model.config.num_channels=3 adapts the checkpoint's first convolution"),
        (3, {"num_channels": 1}, "found 1, must be 3: .* three channels see what one would; leave it out"),
        (3, {"num_channels": 4}, "found 4, must be 3: .* choose three channels, and save each image as RGB"),
    ],
)
def test_other_channels_than_three_are_one_line(channels, config, line, tmp_path):
    checkpoint(tmp_path, "resnet", channels)
    with pytest.raises(InputError, match=line):
        check_model(ModelSection(checkpoint=str(tmp_path), config=config))


@pytest.mark.parametrize("kind", ["clip", "textnet", "timm"])
def test_each_family_is_told_by_its_own_key(kind, tmp_path):
    checkpoint(tmp_path, kind, 1, [0.3], [0.2])
    with pytest.raises(InputError, match=r"found 1, must be 3: .*; model\.config\.\S+=3 adapts") as caught:
        check_model(ModelSection(checkpoint=str(tmp_path)))
    key = str(caught.value).partition(":")[0].removeprefix("model.config.")
    one, *rest = reversed(key.split("."))
    said = {one: 3}
    for name in rest:
        said = {name: said}
    assert said == THREE[kind]
    with pytest.raises(InputError, match=r"model_args\.in_chans: found 4, must be 3: .* choose three channels"):
        check_model(
            ModelSection(architecture="timm/test_resnet", from_scratch=True, config={"model_args": {"in_chans": 4}})
        )


def test_pipeline_clips_16_bit_grey_and_keeps_the_high_byte_of_16_bit_colour():
    """A fact about transformers and Pillow, on which data.md's advice rests."""
    deep = Image.new("I;16", (2, 2), 300)
    assert transformers.image_utils.load_image(deep).getpixel((0, 0)) == (255, 255, 255)
