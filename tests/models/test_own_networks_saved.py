"""The built-in architectures: settings that are refused, and what is saved and opened again."""

import json

import numpy as np
import pytest
import torch
from conftest import make_image
from fresh import run_fresh
from PIL import Image
from test_own_networks import LABELS, TINY, kernels, own, saved
from tiny import SIZE, tiny_model
from torch import nn

from hf_imgcls.errors import InputError
from hf_imgcls.images.processors import process_image
from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.models.convnet import ConvNetForImageClassification, luminance
from hf_imgcls.models.restore import differing_tensors, restore_weights
from hf_imgcls.models.trace import execution_order
from hf_imgcls.recipe.sections import ModelSection
from hf_imgcls.serving.parity import compare_predictions


@pytest.mark.parametrize("architecture", TINY)
def test_a_network_begins_glorot_uniform_from_the_seed(architecture):
    model, _ = own(architecture, seed=3)
    for module in kernels(model):
        limit = (6 / sum(nn.init._calculate_fan_in_and_fan_out(module.weight))) ** 0.5
        assert 0.7 * limit < module.weight.abs().max() <= limit
        assert module.bias is None or not module.bias.any()
    first, same, other = (own(architecture, seed=seed)[0].classifier.weight for seed in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("architecture", TINY)
def test_modules_are_declared_in_the_order_in_which_they_run(architecture):
    model, _ = own(architecture)
    declared = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert [name for name in execution_order(model, (30, 30)) if name in declared] == declared


def test_a_network_of_one_channel_sees_what_pil_calls_grey():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = torch.from_numpy(values).float()[None, None] / 255
    assert torch.equal(luminance(grey.expand(-1, 3, -1, -1)), grey)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255
    difference = luminance(pixels)[0, 0] * 255 - torch.from_numpy(np.array(photo.convert("L"))).float()
    assert difference.abs().max() < 0.51


@pytest.mark.parametrize("architecture", TINY)
def test_one_channel_is_what_pipeline_can_deliver(architecture):
    model, processor = own(architecture, num_channels=1)
    assert kernels(model)[0].in_channels == 1
    photo = make_image("red", 1, (50, 40))
    colour, grey = (process_image(processor, each.convert("RGB"))[None] for each in (photo, photo.convert("L")))
    with torch.no_grad():
        assert torch.allclose(model.eval()(colour).logits, model(grey).logits, atol=0.02)


@pytest.mark.parametrize("architecture", TINY)
def test_labels_bring_a_loss(architecture):
    model = tiny_model(architecture).eval()
    pixels, labels = torch.rand(4, 3, SIZE, SIZE), torch.tensor([0, 1, 2, 1])
    outputs = model(pixel_values=pixels, labels=labels)
    assert outputs.loss.item() == pytest.approx(nn.functional.cross_entropy(outputs.logits, labels).item())
    assert model(pixel_values=pixels).loss is None
    assert not torch.equal(model.train()(pixels).logits, model(pixels).logits), "dropout drops something"


@pytest.mark.parametrize(
    ("architecture", "config", "message"),
    [
        (
            "convnet",
            {"filters": [8] * 5},
            "model.config.filters: 5 convolutions leave nothing of 28x28 pixels, room is",
        ),
        ("convnet", {"filters": []}, "model.config.filters: [], must be"),
        ("convnet", {"padding": "full"}, "model.config.padding: 'full', must be valid or same"),
        ("convnet", {"padding": None}, "model.config.padding: expected str, got NoneType"),
        ("convnet", {"pooling": "none"}, "model.config.pooling: 'none', must be max, avg or null"),
        ("convnet", {"pooling": False}, "model.config.pooling: found False, expected str, null"),
        ("convnet", {"pool_size": 0}, "model.config.pool_size: 0, must be a positive number"),
        ("convnet", {"pool_size": 2.5}, "model.config"),
        ("convnet", {"strides": [1, 2]}, "model.config.strides: [1, 2], must be one number for all filters or one"),
        ("convnet", {"strides": 0}, "model.config.strides: 0, must be one number"),
        ("convnet", {"strides": [1, 0, 1]}, "model.config.strides: [1, 0, 1], must be"),
        ("convnet", {"strides": "2"}, "model.config.strides: found '2', expected int, list[int], tuple[int, ...]"),
        (
            "convnet",
            {"strides": 2**63},
            f"model.config.strides: {2**63}, must be one number for all filters or one for each",
        ),
        ("convnet", {"stride": 2}, 'model.config.stride: convnet has no such setting; did you mean "strides"?'),
        ("convnet", {"filters": [8, 0]}, "model.config.filters: [8, 0], must be"),
        ("convnet", {"filters": "64"}, "model.config.filters: "),
        ("convnet", {"num_channels": 2}, "model.config.num_channels: 2, must be 1 or 3"),
        ("convnet", {"dropout": 2.0}, "model.config.dropout: found 2.0"),
        ("convnet", {"filter": [8]}, 'model.config.filter: convnet has no such setting; did you mean "filters"?'),
        ("mini_xception", {"num_channels": 2}, "model.config.num_channels: 2, must be 1 or 3"),
    ],
)
def test_what_our_networks_cannot_be(architecture, config, message):
    with pytest.raises(InputError) as caught:
        own(architecture, image_size=28, **config)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_dense_layer_does_not_follow_another_size(tmp_path):
    saved(tmp_path, "convnet")
    with pytest.raises(
        InputError, match=r"model.image_size: classifier.weight of ConvNetForImageClassification is tied"
    ):
        build_model(ModelSection(checkpoint=str(tmp_path), image_size=40), LABELS, 0)


FRESH = """
import json, sys
sys.modules["hf_imgcls"] = None
from transformers import pipeline
predictions = {}
for folder in json.loads(sys.argv[1]):
    try:
        pipeline("image-classification", folder)
        predictions[folder] = ["opened without trust"]
    except ValueError as error:
        assert "trust_remote_code=True" in str(error), error
        classify = pipeline("image-classification", folder, trust_remote_code=True)
        predictions[folder] = {a["label"]: a["score"] for a in classify(sys.argv[2])}
print("\\n" + json.dumps(predictions))
"""


def test_others_open_our_networks_without_this_package(tmp_path):
    photo = make_image("red", 1, (50, 40))
    photo.save(tmp_path / "photo.png")
    expected = {}
    for architecture, channels in [("convnet", 1), ("mini_xception", 3)]:
        folder = tmp_path / "runs" / architecture
        model, processor = saved(folder, architecture, num_channels=channels)
        with torch.no_grad():
            scores = model.eval()(process_image(processor, photo)[None]).logits.softmax(1)[0].tolist()
        expected[str(folder)] = dict(zip(LABELS, scores, strict=True))
    (tmp_path / "elsewhere").mkdir()
    photo, home = str(tmp_path / "photo.png"), {"HF_HOME": str(tmp_path / "home")}
    done = run_fresh(FRESH, json.dumps(list(expected)), photo, environment=home, folder=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    predictions = json.loads(done.stdout.splitlines()[-1])
    assert predictions == {folder: pytest.approx(scores, abs=1e-6) for folder, scores in expected.items()}


def test_the_code_in_a_folder_is_never_run_to_train_or_score(tmp_path):
    model, _ = saved(tmp_path, "convnet")
    code = (tmp_path / "convnet.py").read_text()
    (tmp_path / "convnet.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{code}")
    for again in (load_network(str(tmp_path))[0], build_model(ModelSection(checkpoint=str(tmp_path)), LABELS, 0)[0]):
        assert type(again) is ConvNetForImageClassification
        assert torch.equal(again.classifier.weight, model.classifier.weight)
    assert not (tmp_path / "ran").exists()


def test_the_parity_check_runs_the_code_that_others_will_run(tmp_path):
    model, processor = saved(tmp_path / "run", "mini_xception")
    photo = tmp_path / "photo.png"
    make_image("red", 1, (50, 40)).save(photo)
    rows = [{"image": {"bytes": None, "path": str(photo)}, "name": "photo"}]
    with torch.no_grad():
        logits = model.eval()(process_image(processor, Image.open(photo))[None]).logits.numpy()
    assert compare_predictions(tmp_path / "run", rows, logits, "cpu", LABELS)["passed"]
    code = tmp_path / "run" / "mini_xception.py"
    code.write_text(code.read_text().replace("eps=1e-3", "eps=1.0"))
    assert not compare_predictions(tmp_path / "run", rows, logits, "cpu", LABELS)["passed"]


@pytest.mark.parametrize("architecture", TINY)
def test_every_tensor_comes_back(architecture, tmp_path):
    model, _ = saved(tmp_path, architecture)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    for tensor in model.state_dict().values():
        tensor.add_(1)
    assert len(differing_tensors(model, tmp_path)) == len(before)
    restore_weights(model, tmp_path)
    assert differing_tensors(model, tmp_path) == []
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("architecture", TINY)
def test_the_settings_of_a_saved_network_without_its_weights(architecture, tmp_path):
    model, _ = saved(tmp_path, architecture, num_channels=1)
    again, _ = build_model(ModelSection(checkpoint=str(tmp_path), from_scratch=True), LABELS, 1)
    assert {name: weight.shape for name, weight in again.named_parameters()} == {
        name: weight.shape for name, weight in model.named_parameters()
    }
    assert not any(torch.equal(a.weight, b.weight) for a, b in zip(kernels(again), kernels(model), strict=True))
