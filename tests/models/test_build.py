"""Checkpoints and architectures as models: labels and heads, what is saved, and what is refused in one line."""

import errno
import json

import pytest
import torch
import transformers
from conftest import make_image
from safetensors.torch import load_file, save_file
from tiny import tiny_model
from transformers import ViTImageProcessor

from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.images.processors import input_size, process_image
from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.models.head import head_keys, head_module
from hf_imgcls.models.input_errors import as_input_error
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


@pytest.mark.parametrize(
    ("architecture", "config", "message"),
    [
        ("resnett", {}, 'model.architecture: transformers has no \'resnett\'; did you mean "resnet"?'),
        ("timm/resnet_18", {}, 'timm has no \'resnet_18\'; did you mean "resnet'),
        ("bert", {}, "'bert' is of type 'bert', which is no image classifier"),
        ("vit", {"hiden_size": 16}, 'model.config.hiden_size: vit has no such setting; did you mean "hidden_size"?'),
        ("vit", {"hidden_size": "large"}, "model.config.hidden_size: "),
        ("vit", {"hidden_act": "rellu"}, "model.config: unknown value 'rellu'"),
        ("vit", {"num_channels": 1}, "model.config.num_channels: found 1, must be 3: pipeline delivers red"),
        ("vit", {"num_labels": 5}, "model.config.num_labels: the labels come from the data"),
        ("siglip", {"vision_config": {"hiden_size": 16}}, "model.config.vision_config.hiden_size: siglip_vision_model"),
        ("timm/test_resnet", {"drop_rate": 0.1}, 'model.config.drop_rate: timm_wrapper has no such setting; what timm'),
        ("timm/test_resnet", {"model_args": {"drop": 0}}, "model.config: ResNet.__init__() got an unexpected keyword"),
        ("timm/test_resnet", {"model_args": {"in_chans": 1}}, "model_args.in_chans: found 1, must be 3: pipeline"),
        ("timm/test_resnet", {"num_channels": 1}, "timm_wrapper has no such setting; it is model_args.in_chans"),
        ("pp_lcnet", {}, "gives no scores of 3 classes"),
        ("swin", {"window_size": 16, "image_size": 32}, "does not take the 32x32 images of its image processor"),
    ],
)  # fmt: skip
def test_what_an_architecture_cannot_be(architecture, config, message):
    tiny = {**ARCHITECTURES.get(architecture, {}), **config} if architecture in ("vit", "swin") else config
    assert message in refusal({"architecture": architecture, "from_scratch": True, "config": tiny})


def test_one_class_is_refused():
    assert "one class only (red)" in refusal({"architecture": "vit", "from_scratch": True}, ["red"])


def drop_tensor(folder):
    state = load_file(folder / "model.safetensors")
    del state[next(key for key in state if "layer.0" in key or "layers.0" in key)]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def change_shape(folder):
    state = load_file(folder / "model.safetensors")
    key = next(key for key in state if "layer.0" in key or "layers.0" in key)
    save_file({**state, key: torch.zeros(3, 3)}, folder / "model.safetensors", metadata={"format": "pt"})


def cut_short(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:500])


def leave_a_pickle(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def change_config(**values):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **values}))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_tensor, "lacks 1 of the 24 tensors of ViTForImageClassification (vit.layers.0."),
        (change_shape, "lacks 1 of the 24 tensors of ViTForImageClassification (vit.layers.0."),
        (cut_short, "model.checkpoint: "),
        (leave_a_pickle, "has its weights as pytorch_model.bin alone, which may run code"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "has no preprocessor_config.json; save the"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not JSON ("),
        (lambda folder: (folder / "config.json").unlink(), "model.checkpoint: "),
        (change_config(num_hidden_layers=2), "tensors of ViTForImageClassification (vit.layers.1."),
        (change_config(model_type="bert", architectures=["BertModel"]), "which is no image classifier"),
        (change_config(model_type="of_my_own"), "of_my_own"),
    ],
)
def test_what_a_checkpoint_cannot_be(damage, message, tmp_path):
    saved(tmp_path)
    damage(tmp_path)
    line = refusal({"checkpoint": str(tmp_path)})
    assert message in line
    assert line.startswith("model")


def test_what_the_settings_of_a_checkpoint_cannot_be(tmp_path):
    saved(tmp_path)
    section = {"checkpoint": str(tmp_path)}
    assert "set model.image_size" in refusal({**section, "config": {"image_size": 64}})
    assert "or model.config does not fit them" in refusal({**section, "config": {"hidden_size": 32}})
    assert "model.config.hidden_dropout_prob" in refusal({**section, "config": {"hidden_dropout_prob": "high"}})


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_code_that_lies_beside_a_checkpoint_is_never_run(file, tmp_path):
    saved(tmp_path)
    classes = {"AutoConfig": "mine.Config", "AutoModelForImageClassification": "mine.Model"}
    content = json.loads((tmp_path / file).read_text())
    content.update(auto_map={**classes, "AutoImageProcessor": "mine.Processor"})
    content.update({"model_type": "mine", "image_processor_type": "Mine"})
    (tmp_path / file).write_text(json.dumps(content))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\n")
    expected = {
        "config.json": "brings the code of its network (mine.py), which training never runs",
        "preprocessor_config.json": "it needs code of its own, which is never run here",
    }
    assert expected[file] in refusal({"checkpoint": str(tmp_path)})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "models/of/mine"])
def test_a_folder_that_is_not_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"model.checkpoint: no such folder {name!r}" in refusal({"checkpoint": name})


def test_a_file_is_no_folder(tmp_path):
    saved(tmp_path)
    assert "is a file" in refusal({"checkpoint": str(tmp_path / "model.safetensors")})


def test_a_hub_model_without_the_network_is_one_line():
    line = refusal({"checkpoint": "someone/some-model"})
    assert line.startswith("model.checkpoint: 'someone/some-model' is no folder in ")
    assert line.endswith("the Hub cannot be reached from here, only what is in its cache can be used")


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    saved(tmp_path / "model")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_network("~/model")[0].config.num_labels == 3


@pytest.mark.parametrize("bug", [AttributeError("x"), NameError("x"), MemoryError()])
def test_a_bug_is_no_user_error(bug):
    with pytest.raises(type(bug)), as_input_error("model.config"):
        raise bug


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        OSError(errno.ENOSPC, "No space left on device"),
        PermissionError(errno.EACCES, "Permission denied", "config.json"),
    ],
    ids=repr,
)
def test_what_the_machine_denies_is_no_fault_of_the_model(error):
    with pytest.raises(MachineError), as_input_error("model.config"):
        raise error


@pytest.mark.parametrize(
    "refusal", [RuntimeError("size\nmismatch"), OSError("size mismatch"), TypeError("size mismatch")]
)
def test_what_a_library_refuses_is_one_line(refusal):
    expected = r"^model\.config: size mismatch; take another$"
    with pytest.raises(InputError, match=expected), as_input_error("model.config", hint="; take another"):
        raise refusal
