"""Checkpoints of every form: without a head, in half precision, without weights, of timm."""

import pytest
import torch
import transformers
from safetensors.torch import load_file
from test_build import LABELS, VIT, change_config, different, refusal, saved, scratch
from tiny import tiny_model
from transformers import ViTImageProcessor

from hf_imgcls.errors import InputError
from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.recipe.sections import ModelSection


def test_a_backbone_without_a_head_gets_one(tmp_path):
    backbone = transformers.ViTModel(transformers.ViTConfig(**VIT, image_size=32))
    backbone.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    assert any("pooler" in key for key in load_file(tmp_path / "model.safetensors"))
    model, _ = build_model(ModelSection(checkpoint=str(tmp_path)), LABELS, 0)
    expected = {key: tensor for key, tensor in backbone.state_dict().items() if "pooler" not in key}
    assert all(torch.equal(model.vit.state_dict()[key], tensor) for key, tensor in expected.items())
    with pytest.raises(InputError, match=r"lacks 2 tensors of ViTForImageClassification \(classifier.bias"):
        load_network(str(tmp_path))


def test_a_checkpoint_that_does_not_say_its_class(tmp_path):
    model = saved(tmp_path, "deit")
    change_config(architectures=None)(tmp_path)
    again, _ = build_model(ModelSection(checkpoint=str(tmp_path)), LABELS, 1)
    assert type(again) is type(model)
    assert not different(model, again)


def test_weights_in_half_precision_are_trained_in_float32(tmp_path):
    scratch()[0].half().save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    model, _ = build_model(ModelSection(checkpoint=str(tmp_path)), LABELS, 0)
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in load_network(str(tmp_path))[0].parameters()} == {torch.float32}


def test_settings_of_a_checkpoint_can_be_changed(tmp_path):
    saved(tmp_path / "vit")
    section = ModelSection(checkpoint=str(tmp_path / "vit"), config={"hidden_dropout_prob": 0.3})
    model, _ = build_model(section, LABELS, 0)
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} >= {0.3}
    saved(tmp_path / "siglip", "siglip")
    section = ModelSection(checkpoint=str(tmp_path / "siglip"), config={"vision_config": {"attention_dropout": 0.2}})
    model, _ = build_model(section, LABELS, 0)
    assert (model.config.vision_config.attention_dropout, model.config.vision_config.hidden_size) == (0.2, 16)


def test_the_settings_of_a_checkpoint_without_its_weights(tmp_path):
    model = saved(tmp_path, labels=["red", "green", "blue"])
    (tmp_path / "model.safetensors").unlink()
    again, _ = build_model(ModelSection(checkpoint=str(tmp_path), from_scratch=True), LABELS, 1)
    assert again.config.hidden_size == model.config.hidden_size
    assert again.config.id2label == dict(enumerate(LABELS))
    assert different(model, again)


def test_timm_networks_begin_as_timm_begins_them():
    import timm

    model, _ = scratch("timm/test_resnet")
    own = timm.create_model("test_resnet", num_classes=3).state_dict()
    for key, tensor in model.timm_model.state_dict().items():
        if tensor.ndim == 4 and tensor.numel() > 1000:
            assert tensor.std().item() == pytest.approx(own[key].std().item(), rel=0.15), key


def test_a_saved_timm_model_with_other_labels_is_loaded_with_those(tmp_path):
    tiny_model("timm", ["pizza", "waffle", "soup", "salad"]).save_pretrained(tmp_path / "foods")
    model, _ = build_model(ModelSection(checkpoint=str(tmp_path / "foods")), LABELS, 0)
    model.save_pretrained(tmp_path / "again")
    assert transformers.AutoConfig.from_pretrained(tmp_path / "again").label2id == model.config.label2id
    assert list(model.config.label2id) == LABELS


def test_a_folder_that_timm_saved(tmp_path):
    import timm

    network = timm.create_model("test_resnet", num_classes=3)
    settings = {"model_args": {"num_classes": 3}, "model_config": {"label_names": ["red", "green", "blue"]}}
    timm.models.save_for_hf(network, str(tmp_path), safe_serialization=True, **settings)
    model, _ = build_model(ModelSection(checkpoint=str(tmp_path)), LABELS, 0)
    assert model.config.label2id == {"red": 0, "green": 1, "blue": 2}
    state = model.timm_model.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in network.state_dict().items())


def test_a_network_that_cannot_be_saved_is_refused_before_it_is_trained():
    assert "cannot be saved" in refusal({"architecture": "timm/coat_tiny", "from_scratch": True})
