"""Another input size: every family's processor takes it and keeps it, position embeddings follow the image."""

import pytest
import torch
import transformers
from conftest import make_image
from transformers import AutoModelForImageClassification

from hf_imgcls.errors import InputError
from hf_imgcls.images.processors import input_size, process_image
from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.models.preprocessing import set_image_size
from hf_imgcls.recipe.sections import ModelSection

LABELS = ["blue", "green", "red"]
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8, "image_size": 32}
TINY = {
    "vit": (transformers.ViTConfig, {**VIT, "intermediate_size": 24}),
    "deit": (transformers.DeiTConfig, {**VIT, "intermediate_size": 24}),
    "dinov2": (transformers.Dinov2Config, {**VIT, "mlp_ratio": 2}),
    "beit": (transformers.BeitConfig, {**VIT, "intermediate_size": 24, "use_absolute_position_embeddings": True}),
    "beit, distances": (transformers.BeitConfig, {**VIT, "intermediate_size": 24, "use_relative_position_bias": True}),
    "beit, one table": (
        transformers.BeitConfig,
        {**VIT, "intermediate_size": 24, "use_shared_relative_position_bias": True},
    ),
    "swin": (
        transformers.SwinConfig,
        {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 8},
    ),
    "levit": (
        transformers.LevitConfig,
        {"image_size": 64, "hidden_sizes": [16, 16, 24], "num_attention_heads": [1, 1, 2], "key_dim": [8, 8, 8],
         "depths": [1, 1, 1]},
    ),
}  # fmt: skip
PROCESSORS = {
    "ViT": lambda: transformers.ViTImageProcessor(),
    "SigLIP": lambda: transformers.SiglipImageProcessor(),
    "ConvNeXt": lambda: transformers.ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875),
    "ConvNeXt, squashing from 384": lambda: transformers.ConvNextImageProcessor(size={"shortest_edge": 384}),
    "CLIP": lambda: transformers.CLIPImageProcessor(),
    "BiT": lambda: transformers.BitImageProcessor(),
    "MobileNetV2": lambda: transformers.MobileNetV2ImageProcessor(),
    "MobileViT": lambda: transformers.MobileViTImageProcessor(
        size={"shortest_edge": 288}, crop_size={"height": 256, "width": 256}
    ),
    "LeViT": lambda: transformers.LevitImageProcessor(),
    "DeiT": lambda: transformers.DeiTImageProcessor(),
    "EfficientNet": lambda: transformers.EfficientNetImageProcessor(rescale_offset=True),
    "PoolFormer": lambda: transformers.PoolFormerImageProcessor(),
    "Perceiver": lambda: transformers.PerceiverImageProcessor(),
    "TextNet, no fixed size": lambda: transformers.TextNetImageProcessor(),
    "ViT, no resizing": lambda: transformers.ViTImageProcessor(do_resize=False),
}
SIDES = {"ConvNeXt, squashing from 384": 384, "MobileViT": 256, "EfficientNet": 346}


def checkpoint(folder, family: str):
    """A tiny model whose weights are all drawn, saved with a processor of its size."""
    kind, settings = TINY[family]
    torch.manual_seed(0)
    config = kind(**settings, id2label=dict(enumerate(LABELS)), architectures=[])
    model = AutoModelForImageClassification.from_config(config)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(torch.randn_like(tensor) * 0.1)
    model.save_pretrained(folder)
    side = settings["image_size"]
    transformers.ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("family", PROCESSORS)
def test_a_processor_takes_a_size_and_keeps_it_in_the_folder(family, tmp_path):
    """The saved folder processes an image as the run did."""
    tiny = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], id2label=dict(enumerate(LABELS)))
    AutoModelForImageClassification.from_config(tiny).save_pretrained(tmp_path / "before")
    processor = PROCESSORS[family]()
    processor.save_pretrained(tmp_path / "before")
    if "no " not in family:
        assert input_size(processor) == (SIDES.get(family, 224),) * 2
    model, processor = build_model(ModelSection(checkpoint=str(tmp_path / "before"), image_size=64), LABELS, 0)
    model.save_pretrained(tmp_path / "after")
    processor.save_pretrained(tmp_path / "after")
    again = load_network(str(tmp_path / "after"))[1]
    assert type(again) is type(processor)
    assert input_size(again) == input_size(processor) == (64, 64)
    for size in ((90, 70), (40, 100), (13, 9)):
        assert torch.equal(
            process_image(again, make_image("red", 1, size)), process_image(processor, make_image("red", 1, size))
        )


def test_what_is_resized_to_more_than_is_cropped_stays_in_proportion():
    processor = set_image_size(transformers.ResNetConfig(), transformers.DeiTImageProcessor(), 112)
    assert (dict(processor.size)["height"], dict(processor.crop_size)["height"]) == (128, 112)
    processor = set_image_size(transformers.ResNetConfig(), transformers.MobileNetV2ImageProcessor(), 112)
    assert (dict(processor.size)["shortest_edge"], dict(processor.crop_size)["height"]) == (128, 112)
    # Perceiver crops first: of 256 pixels that are then resized to 224, so much is cut.
    processor = set_image_size(transformers.ResNetConfig(), transformers.PerceiverImageProcessor(), 112)
    assert (dict(processor.size)["height"], dict(processor.crop_size)["height"]) == (112, 128)


@pytest.mark.parametrize("architecture", ["resnet18", "test_vit"])
def test_timm_models_take_a_size_and_keep_it_in_the_folder(architecture, tmp_path):
    section = ModelSection(architecture=f"timm/{architecture}", from_scratch=True)
    before, processor = build_model(section, LABELS, 0)
    assert input_size(processor) == ((160, 160) if architecture == "test_vit" else (224, 224))
    before.save_pretrained(tmp_path / "before")
    model, processor = build_model(ModelSection(checkpoint=str(tmp_path / "before"), image_size=96), LABELS, 0)
    model.save_pretrained(tmp_path / "after")
    processor.save_pretrained(tmp_path / "after")
    again, its_processor = load_network(str(tmp_path / "after"))
    assert again.config.id2label == dict(enumerate(LABELS))
    pixels = process_image(its_processor, make_image("red", 1, (150, 130)))
    assert pixels.shape == (3, 96, 96)
    assert torch.equal(pixels, process_image(processor, make_image("red", 1, (150, 130))))
    with torch.no_grad():
        assert torch.allclose(again(pixels[None]).logits, model.eval()(pixels[None]).logits, atol=1e-6)


def test_timm_positions_are_interpolated_as_timm_does(tmp_path):
    from timm.layers import resample_abs_pos_embed

    before, _ = build_model(ModelSection(architecture="timm/test_vit", from_scratch=True), LABELS, 0)
    before.save_pretrained(tmp_path)
    after, _ = build_model(ModelSection(checkpoint=str(tmp_path), image_size=224), LABELS, 0)
    positions = before.timm_model.pos_embed
    expected = resample_abs_pos_embed(positions, [14, 14], num_prefix_tokens=1)
    assert torch.allclose(after.timm_model.pos_embed, expected, atol=1e-5)


@pytest.mark.parametrize("side", [16, 48])
@pytest.mark.parametrize("family", [name for name in TINY if name not in ("swin", "levit")])
def test_positions_are_interpolated_as_the_model_itself_does(family, side, tmp_path):
    before = checkpoint(tmp_path, family)
    after, processor = build_model(ModelSection(checkpoint=str(tmp_path), image_size=side), LABELS, 0)
    assert input_size(processor) == (side, side)
    assert after.config.image_size == side
    old, new = before.state_dict(), after.state_dict()
    moved = {key for key in old if old[key].shape != new[key].shape}
    assert moved
    assert all("position" in key for key in moved)
    assert all(torch.equal(old[key], new[key]) for key in old.keys() - moved)
    pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        itself = before(pixel_values=pixels, interpolate_pos_encoding=True).logits
        assert torch.allclose(after.eval()(pixel_values=pixels).logits, itself, atol=1e-5)


def test_the_checkpoints_own_size_changes_nothing(tmp_path):
    before = checkpoint(tmp_path, "vit")
    after, _ = build_model(ModelSection(checkpoint=str(tmp_path), image_size=32), LABELS, 0)
    assert all(
        torch.equal(a, b) for a, b in zip(before.state_dict().values(), after.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("family", "side", "message"),
    [
        ("swin", 16, "SwinForImageClassification does not take the 16x16 images of its image processor"),
        ("levit", 96, "attention_biases of LevitForImageClassification is tied to the checkpoint's own size"),
        ("vit", 4, "position_embeddings of ViTForImageClassification is tied to the checkpoint's own size"),
    ],
)
def test_a_size_that_the_weights_cannot_follow_is_refused(family, side, message, tmp_path):
    checkpoint(tmp_path, family)
    with pytest.raises(InputError) as caught:
        build_model(ModelSection(checkpoint=str(tmp_path), image_size=side), LABELS, 0)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [48, 64])
def test_a_swin_takes_any_size_that_its_windows_fit(side, tmp_path):
    before = checkpoint(tmp_path, "swin")
    after, _ = build_model(ModelSection(checkpoint=str(tmp_path), image_size=side), LABELS, 0)
    assert after.config.image_size == side
    assert all(
        torch.equal(a, b) for a, b in zip(before.state_dict().values(), after.state_dict().values(), strict=True)
    )


def test_clip_and_siglip_say_their_size_in_the_vision_part():
    for architecture in ("clip", "siglip"):
        vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
        section = ModelSection(
            architecture=architecture,
            from_scratch=True,
            image_size=48,
            config={"vision_config": {**vision, "patch_size": 8}},
        )
        model, processor = build_model(section, LABELS, 0)
        assert model.config.vision_config.image_size == 48
        assert input_size(processor) == (48, 48)
