"""Checkpoints and architectures as models: labels and heads, what is saved, and what is refused in one line."""

import json

import pytest
import torch
import transformers
from conftest import make_image
from transformers import ViTImageProcessor

from hf_imgcls.errors import InputError
from hf_imgcls.images.processors import input_size, process_image
from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.models.head import head_keys, head_module
from hf_imgcls.recipe.sections import ModelSection

LABELS = ["blue", "green", "red"]
VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "patch_size": 8}
LEVIT = {"hidden_sizes": [16, 16, 24], "num_attention_heads": [1, 1, 2], "key_dim": [8, 8, 8], "depths": [1, 1, 1]}
ARCHITECTURES = {
    "vit": VIT,
    "deit": VIT,
    "dinov2": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8},
    "beit": {**VIT, "use_relative_position_bias": True},
    "siglip": {"vision_config": VIT},
    "swin": {"patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
    "convnext": {"num_stages": 2, "hidden_sizes": [8, 12], "depths": [1, 1]},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"},
    "mobilenet_v2": {"depth_multiplier": 0.35, "min_depth": 8},
    "pvt": {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]},
    "levit": LEVIT,
    "regnet": {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 12], "depths": [1, 1, 1, 1], "groups_width": 4},
    "efficientnet": {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128},
    "convnet": {"filters": [8, 12]},
    "mini_xception": {"stem_filters": 4, "filters": [8, 12], "top_filters": 8},
    "timm/test_vit": {},
    "timm/test_resnet": {"model_args": {"drop_rate": 0.1}},
}


def scratch(architecture="vit", labels=LABELS, seed=0, image_size=32):
    section = ModelSection(
        architecture=architecture, from_scratch=True, image_size=image_size, config=ARCHITECTURES[architecture]
    )
    return build_model(section, list(labels), seed)


def saved(folder, architecture="vit", **options):
    model, processor = scratch(architecture, **options)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


def refusal(section: dict, labels=LABELS) -> str:
    with pytest.raises(InputError) as caught:
        build_model(ModelSection(**section), list(labels), 0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_config(**values):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **values}))

    return change


def logits(model, processor):
    with torch.no_grad():
        return model.eval()(pixel_values=process_image(processor, make_image("red", 1, (50, 40)))[None]).logits


def different(one, other) -> set[str]:
    a, b = one.state_dict(), other.state_dict()
    return {key for key in a if a[key].shape != b[key].shape or not torch.equal(a[key], b[key])}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_architecture_without_weights_is_saved_and_comes_back(architecture, tmp_path):
    model, processor = scratch(architecture)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, its_processor = load_network(str(tmp_path))
    assert again.config.id2label == {0: "blue", 1: "green", 2: "red"}
    assert again.config.label2id == {"blue": 0, "green": 1, "red": 2}
    assert again.config.num_labels == 3
    assert input_size(its_processor) == (32, 32)
    assert not again.training
    assert not different(model, again)
    assert torch.allclose(logits(again, its_processor), logits(model, processor), atol=1e-6)
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}


def test_the_size_of_an_architecture_is_its_own_where_none_is_said():
    section = {"architecture": "siglip", "from_scratch": True, "config": {"vision_config": {**VIT, "image_size": 40}}}
    assert input_size(build_model(ModelSection(**section), LABELS, 0)[1]) == (40, 40)


@pytest.mark.parametrize("architecture", ["vit", "resnet", "timm/test_resnet"])
def test_a_head_for_the_same_labels_stays_in_its_own_order(architecture, tmp_path):
    model = saved(tmp_path, architecture, labels=["red", "blue", "green"])
    again, _ = build_model(ModelSection(checkpoint=str(tmp_path)), LABELS, seed=9)
    assert again.config.label2id == {"red": 0, "blue": 1, "green": 2}
    assert not different(model, again)


@pytest.mark.parametrize("labels", [["cat", "dog", "hen"], ["blue", "green"], ["a", "b", "c", "d"]])
@pytest.mark.parametrize(
    "architecture", ["vit", "resnet", "convnet", "mini_xception", "timm/test_vit", "timm/test_resnet"]
)
def test_other_labels_bring_a_new_head_and_leave_the_rest(architecture, labels, tmp_path):
    model = saved(tmp_path, architecture)
    again, _ = build_model(ModelSection(checkpoint=str(tmp_path)), labels, seed=1)
    assert again.config.id2label == dict(enumerate(labels))
    assert again.config.problem_type == "single_label_classification"
    weights = {key for key in head_keys(model.config) if key.endswith("weight")}
    assert weights <= different(model, again) <= head_keys(model.config)


def test_a_new_head_follows_the_seed(tmp_path):
    saved(tmp_path)
    section = ModelSection(checkpoint=str(tmp_path))
    first, same, other = (build_model(section, ["cat", "dog", "hen"], seed)[0] for seed in (1, 1, 2))
    assert not different(first, same)
    assert different(first, other) == {"classifier.weight"}
    assert not different(scratch(seed=4)[0], scratch(seed=4)[0])
    assert different(scratch(seed=4)[0], scratch(seed=5)[0])


def test_both_heads_of_a_distilled_model_are_found_and_replaced(tmp_path):
    config = transformers.DeiTConfig(**VIT, image_size=32, id2label=dict(enumerate(LABELS)))
    model = transformers.DeiTForImageClassificationWithTeacher(config)
    model.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    again, _ = build_model(ModelSection(checkpoint=str(tmp_path)), ["cat", "dog", "hen"], seed=1)
    assert type(again) is type(model)
    heads = {f"{name}.{part}" for name in ("cls_classifier", "distillation_classifier") for part in ("weight", "bias")}
    assert head_keys(again.config) == heads
    assert different(model, again) == {key for key in heads if key.endswith("weight")}


@pytest.mark.parametrize(
    ("architecture", "heads"),
    [
        ("vit", {"classifier"}),
        ("resnet", {"classifier.1"}),
        ("levit", {"classifier.linear"}),
        ("pvt", {"classifier"}),
        ("convnet", {"classifier"}),
        ("mini_xception", {"classifier"}),
        ("timm/test_vit", {"timm_model.head"}),
        ("timm/deit_tiny_distilled_patch16_224", {"timm_model.head", "timm_model.head_dist"}),
    ],
)
def test_the_head_is_what_follows_the_number_of_labels(architecture, heads):
    config = scratch(architecture)[0].config if architecture in ARCHITECTURES else None
    if config is None:
        config = transformers.TimmWrapperConfig(architecture=architecture.removeprefix("timm/"), num_labels=3)
    assert {key.rpartition(".")[0] for key in head_keys(config)} == heads


def test_a_number_of_labels_without_their_names_is_enough(tmp_path):
    """The settings of PVT have a number of their own, and no names where none are given."""
    config = transformers.AutoConfig.for_model("pvt", **ARCHITECTURES["pvt"], image_size=32, num_labels=3)
    assert config.id2label is None
    assert head_keys(config) == {"classifier.weight", "classifier.bias"}
    transformers.PvtForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    model, processor = load_network(str(tmp_path))
    assert model.config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert head_module(model, input_size(processor)) == "classifier"


def test_the_heads_of_levit_with_teacher():
    config = transformers.LevitConfig(**LEVIT, image_size=64, num_labels=3)
    config.architectures = ["LevitForImageClassificationWithTeacher"]
    assert {key.split(".")[0] for key in head_keys(config)} == {"classifier", "classifier_distill"}
