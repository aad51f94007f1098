"""Checkpoints of strangers: what their files say wrong is one line, or answered rightly."""

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny import tiny_model, tiny_processor

from hf_imgcls.errors import InputError
from hf_imgcls.models import build_model, check_model, load_network
from hf_imgcls.models.saved import read_settings, take_labels
from hf_imgcls.recipe import ModelSection

NAMES = {0: "blue", 1: "green", 2: "red"}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    tiny_model("vit").save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


@pytest.fixture
def model(good, tmp_path):
    return shutil.copytree(good, tmp_path / "model")


def change(folder, name="config.json", **values) -> None:
    content = json.loads((folder / name).read_text()) | values
    (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def refusal(folder, how=load_network) -> str:
    with pytest.raises(InputError) as caught:
        how(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check(folder) -> None:
    check_model(ModelSection(checkpoint=str(folder)))


@pytest.mark.parametrize(
    "settings",
    [
        {"id2label": {"2": "red", "1": "green", "0": "blue"}},
        {"id2label": ["blue", "green", "red"]},
        {"id2label": {"0": "blue", "1": "green", "2": "red"}, "label2id": {"blue": 2, "green": 0, "red": 1}},
        {"id2label": {"0": "blue", "1": "green", "2": "red"}, "label2id": ["x"], "num_labels": 7},
    ],
)
def test_names_that_can_be_understood(settings):
    assert take_labels(settings) is None
    assert settings["id2label"] == NAMES
    assert settings["label2id"] == {name: i for i, name in NAMES.items()}
    assert settings["num_labels"] == 3


def test_names_that_are_numbers_become_strings():
    settings = {"id2label": {"0": 10, "1": 2.5}}
    assert take_labels(settings) is None
    assert settings["id2label"] == {0: "10", 1: "2.5"}


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ({"0": "blue", "2": "red", "5": "green"}, "id2label has the ids 0, 2, 5, expected 0 to 2"),
        ({"1": "blue", "2": "red"}, "id2label has the ids 1, 2, expected 0 to 1"),
        ({"LABEL_0": "blue", "LABEL_1": "red"}, "id2label has the ids LABEL_0, LABEL_1"),
        ({"0": "a", "00": "b"}, "id2label has the ids 0, 00"),
        ({"0": None, "1": "a"}, "id2label has the name null, expected strings"),
        ({"0": {"name": "a"}, "1": "b"}, 'id2label has the name {"name": "a"}'),
        ({}, "id2label is dict {}"),
        ("blue,red", 'id2label is str "blue,red"'),
        (3, "id2label is int 3"),
    ],
)
def test_names_that_are_no_names_are_for_training_another_head_alone(named, fault):
    settings = {"id2label": named, "label2id": {"x": 1}}
    assert take_labels(settings).startswith(fault)
    assert "id2label" not in settings
    assert settings["num_labels"] >= 2


def test_a_model_with_unusable_names_is_refused_and_fine_tuned(model):
    change(model, id2label={"0": "blue", "2": "red", "5": "green"})
    line = refusal(model)
    assert "id2label has the ids 0, 2, 5, expected 0 to 2; correct it there" in line
    trained, _ = build_model(ModelSection(checkpoint=str(model)), ["blue", "green", "red"], seed=1)
    assert trained.config.id2label == NAMES
    saved = load_file(model / "model.safetensors")
    assert torch.equal(trained.vit.layers[0].layernorm_before.weight, load_file_like(saved, "layernorm_before.weight"))
    # Which output was which class is not known: the head is a new one.
    assert not torch.equal(trained.classifier.weight, saved["classifier.weight"])


def load_file_like(saved: dict, ending: str) -> torch.Tensor:
    return next(tensor for key, tensor in sorted(saved.items()) if key.endswith(ending))


@pytest.mark.parametrize("count", [2, 5])
def test_more_or_fewer_names_than_outputs(model, count):
    change(model, id2label={str(i): f"c{i}" for i in range(count)})
    assert f"its weights have 3 outputs, its config.json names {count} classes; correct id2label" in refusal(model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2]", "config.json holds list [1, 2], expected a JSON object"),
        (b'"vit"', "config.json holds str"),
        (b"null", "config.json holds NoneType null"),
        (b"", "config.json is not JSON (Expecting value at line 1)"),
        (b'{"model_type": "vi', "config.json is not JSON (Unterminated string"),
        (b"\xff\xfe\x00\x81", "config.json is not JSON (not UTF-8 text)"),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, "config.json is nested too deeply"),
        (b'{"hidden_size": ' + b"9" * 5_000 + b"}", "config.json cannot be read: Exceeds the limit"),
        (b'{"hidden_size": 16}', "has no model_type, so the kind of model is not known"),
        (b'{"model_type": "vitt"}', "has no model_type 'vitt'; did you mean \"vit"),
        (b'{"model_type": ["vit"]}', "has no model_type ['vit']"),
        (b'{"model_type": "vit", "auto_map": "x"}', 'auto_map of its config.json is str "x"'),
        (b'{"model_type": "vit", "dtype": "float99"}', "float99"),
        (b'{"model_type": "vit", "quantization_config": "x"}', "quantization_config of its config.json is str"),
        (b'{"architecture": "resnet10t", "pretrained_cfg": [1]}', "pretrained_cfg of its config.json is list [1]"),
    ],
)
def test_a_config_that_is_none(model, content, message):
    (model / "config.json").write_bytes(content)
    assert message in refusal(model)
    assert message in refusal(model, check)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_attention_heads": 0}, "no network can be built from these settings: integer division"),
        ({"hidden_act": "nope"}, "no network can be built from these settings: unknown value 'nope'"),
        ({"hidden_size": 10**9}, "this machine has"),
        ({"num_hidden_layers": 10**9}, "makes a network of more than 300 layers"),
    ],
)
def test_settings_of_no_network_that_fits(model, settings, message, monkeypatch):
    monkeypatch.setattr("hf_imgcls.models.construct._MOST_MODULES", 300)
    change(model, **settings)
    assert message in refusal(model)
    assert message in refusal(model, check)


def test_weights_of_more_layers_than_the_config_are_not_left_out(model):
    change(model, num_hidden_layers=1)
    assert "has weights of more layers than its config.json (vit." in refusal(model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "preprocessor_config.json holds list [1], expected a JSON object"),
        ({"tokenizer_class": "BertTokenizer"}, "has no settings of an image processor"),
        ({"feature_extractor_type": "Wav2Vec2FeatureExtractor"}, "no image processor 'Wav2Vec2FeatureExtractor'"),
        ({"image_processor_type": "NopeImageProcessor"}, "transformers has no image processor 'NopeImageProcessor'"),
        ({"image_processor_type": ["x"]}, "the image processor of"),
        ({"size": "x"}, "the image processor of"),
        ({"size": {"height": 99999, "width": 99999}}, "makes images of 99999 pixels a side; the most is 4096"),
        ({"size": {"height": 40, "width": 40}}, "does not take the 40x40 images of its image processor"),
        ({"image_std": [0, 0, 0], "size": {"height": 16, "width": 16}}, "scores an image with what is no number"),
        ({"resample": 99, "size": {"height": 16, "width": 16}}, "its image processor: unknown value 99"),
    ],
)
def test_an_image_processor_of_another_kind(model, content, message):
    (model / "preprocessor_config.json").write_text(json.dumps(content))
    assert message in refusal(model)


def leave_an_adapter(folder):
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}")


def leave_a_timm_file(folder):
    (folder / "config.json").unlink()
    (folder / "model.safetensors").rename(folder / "resnet.pth")


def break_weights(folder):
    weights = load_file(folder / "model.safetensors")
    nan = {key: tensor * float("nan") for key, tensor in weights.items()}
    save_file(nan, folder / "model.safetensors", {"format": "pt"})


def lose_a_shard(folder):
    tiny_model("vit").save_pretrained(folder, max_shard_size="8KB")
    (folder / "model.safetensors").unlink()
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (leave_an_adapter, "is a PEFT adapter, not a model; merge it into its base model (merge_and_unload)"),
        (leave_a_timm_file, "has weights (resnet.pth) but no config.json that says which network they are of"),
        (break_weights, "scores an image with what is no number (NaN or infinite)"),
        (lose_a_shard, "is incomplete: model-00002-of-"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 500), "Error while deserializing header"),
    ],
)
def test_a_folder_that_holds_something_else(model, damage, message):
    damage(model)
    assert message in refusal(model)


def test_networks_for_other_tasks(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    tiny_processor().save_pretrained(tmp_path)
    config = transformers.YolosConfig(**sizes, image_size=[16, 16], patch_size=8, num_detection_tokens=3)
    transformers.YolosForObjectDetection(config).save_pretrained(tmp_path)
    assert "is of type 'yolos', which is no image classifier" in refusal(tmp_path)
    config = transformers.ViTConfig(**sizes, image_size=16, patch_size=8)
    transformers.ViTModel(config).save_pretrained(tmp_path)
    assert "(classifier.bias, ...): it is no trained classifier" in refusal(tmp_path)


def test_settings_are_read_as_they_are(good):
    assert read_settings("x", str(good))["model_type"] == "vit"


def test_a_folder_that_is_not_there_beside_others_is_no_matter_of_the_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert refusal("runs/photos").startswith(f"model.checkpoint: no such folder 'runs/photos' (looked in {tmp_path})")
    assert "the Hub cannot be reached" in refusal("someone/photos")
