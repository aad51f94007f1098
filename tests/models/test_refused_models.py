"""What an architecture, a checkpoint and its settings cannot be, each in one line."""

import errno
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_build import ARCHITECTURES, change_config, refusal, saved

from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.models.build import load_network
from hf_imgcls.models.input_errors import as_input_error


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
