"""On a GPU: `pytest -m gpu`. What runs there alone: copies, precisions, generators, memory, providers."""

import csv
import json
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from conftest import make_image
from test_stages import Killed, changed, kill, weights
from tiny import SIZE, tiny_model, tiny_processor
from without_waiting import BATCH, STEPS, ready_batch, step_trainer, take_step

from hf_imgcls import find_batch_size, predict_images, train_classifier
from hf_imgcls.cli import main
from hf_imgcls.images.mixing import fill_with_noise
from hf_imgcls.images.transforms import EvalTransform, TrainTransform
from hf_imgcls.machine.hardware import exact_float32
from hf_imgcls.models.layout import channels_last
from hf_imgcls.serving.open import PredictOptions, open_classifier
from hf_imgcls.training.candidates import measure_speed
from hf_imgcls.training.extraction import extract_features

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("undrawn")]
CUDA = torch.device("cuda")
# Of a recipe: sections, and what stage 2 has of its own.
RECIPES = {
    "bf16": ({"training": {"bf16": True}}, {}),
    "fp16": ({"training": {"fp16": True}}, {}),
    "float32": ({"training": {"bf16": False, "fp16": False}}, {}),
    "average": ({"averaging": {"ema_decay": 0.5}}, {}),
    "lora": ({}, {"train": {"lora": {"rank": 2, "dropout": 0.1}}}),
    "distillation": ({"distillation": {"teacher": None}}, {}),
    "mixing and noise": ({"augmentation": {
        "train": ["RandomResizedCrop", {"RandomErasing": {"p": 1.0, "value": "random"}}],
        "mix": [{"MixUp": {"per_image": True}}, {"CutMix": {"per_image": True}}, "CutMix"],
    }}, {}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def on_gpu(monkeypatch):
    """conftest keeps all other tests on the CPU."""
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def recipe(make_folder, tmp_path):
    """Two stages of six steps: a head solved on features, then all weights."""
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    stage = {"cache_features": True, "logistic_regression": True, "train": "head", "augmentation": {}}
    return {
        "data": {"path": str(make_folder(train=4, validation=2, test=2))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "augmentation": {"train": ["RandomResizedCrop", "RandomHorizontalFlip"]},
        "stages": [{**stage, "averaging": {}, "distillation": {}}, {"train": "all"}],
        "training": {
            "output_dir": str(tmp_path / "run"), "num_train_epochs": 2, "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 8, "disable_tqdm": True, "logging_steps": 1, "dataloader_num_workers": 2,
        },
    }  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_is_served_as_scored_and_a_killed_one_ends_alike(name, recipe, tmp_path, monkeypatch):
    sections, own = RECIPES[name]
    for key, section in sections.items():
        recipe[key] = {**recipe.get(key, {}), **section}
    if name == "distillation":
        recipe[name] = {"teacher": str(tmp_path / "checkpoint")}
    recipe["stages"][1] |= own
    steps = ["training.save_strategy=steps", "training.save_steps=2", "training.eval_strategy=steps",
             "training.eval_steps=2"]  # fmt: skip
    whole = train_classifier(recipe, [*steps, f"training.output_dir={tmp_path / 'whole'}"])
    assert whole["parity"]["passed"]
    assert (whole["machine"]["device"], whole["machine"]["pinned_memory"]) == ("cuda", True)
    assert whole["machine"]["non_blocking"]
    if name in ("bf16", "fp16", "float32"):
        assert whole["machine"]["precision"] == name
    with monkeypatch.context() as patched:
        kill(patched, 2, 5)
        with pytest.raises(Killed):
            train_classifier(recipe, steps)
    train_classifier(recipe, steps)
    assert changed(weights(tmp_path / "whole"), weights(tmp_path / "run")) == set()


@pytest.mark.parametrize("half", [None, "bf16", "fp16"])
@pytest.mark.parametrize("name", STEPS)
def test_no_step_waits_for_the_gpu(name, half, tmp_path):
    trainer = step_trainer(name, tmp_path, **({half: True} if half else {}))
    model = trainer.accelerator.prepare_model(trainer.model)
    outputs = []
    trainer.model.classifier.register_forward_hook(lambda module, inputs, output: outputs.append(output.dtype))
    first, batch = ready_batch(name, CUDA), ready_batch(name, CUDA)
    take_step(trainer, first)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = take_step(trainer, batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (loss.device.type, loss.isfinite().item(), model is trainer.model) == ("cuda", True, True)
    assert set(outputs) == {{"bf16": torch.bfloat16, "fp16": torch.float16}.get(half, torch.float32)}


def test_the_benchmark_measures_a_recipe_without_settings(recipe, tmp_path, capsys):
    del recipe["training"]["dataloader_num_workers"]
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert main(["benchmark", str(tmp_path / "recipe.json"), "--steps", "4", "--output", str(tmp_path / "f.json")]) == 0
    found = json.loads((tmp_path / "f.json").read_text())
    assert all(found[part] > 0 for part in ("data", "model", "both"))
    assert 0 < found["processes"][0]["gpu_memory"] < 1000, "of one training, not of three"
    assert "pinned memory, non-blocking copies" in capsys.readouterr().out


def test_batches_are_tried_and_the_memory_is_that_of_the_last_try(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = find_batch_size(recipe, stage=2)
    assert found["tried"]
    assert found["fits"] == 8, "of twelve images"
    assert "find-batch-size: a step of 8 images takes " in capsys.readouterr().out


def test_channels_last_computes_the_same_in_half_precision():
    model = tiny_model("mini_xception").eval().to(CUDA)
    pixels = torch.randn(4, 3, SIZE, SIZE, device=CUDA)
    with torch.inference_mode(), exact_float32():
        plain = model(pixel_values=pixels).logits
        assert channels_last(model, (SIZE, SIZE))
        assert torch.allclose(model(pixel_values=pixels).logits, plain, atol=1e-4)
        with torch.autocast("cuda", torch.float16):
            assert torch.allclose(model(pixel_values=pixels).logits.float(), plain, atol=2e-2)


def test_tf32_is_for_training_alone(tmp_path):
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no TF32")
    step_trainer("plain", tmp_path, tf32=True)
    one, two = (torch.randn(512, 512, device=CUDA) for _ in range(2))
    exact = one.double() @ two.double()
    with exact_float32():
        assert (one @ two - exact).abs().max() < 1e-3
    assert (one @ two - exact).abs().max() > 3e-3
    step_trainer("plain", tmp_path, tf32=False)


def test_reading_images_leaves_the_generator_of_the_gpu_and_noise_is_drawn_from_it():
    transform = TrainTransform(["RandomResizedCrop"], tiny_processor(), range(3), seed=0)
    torch.cuda.manual_seed(7)
    before = torch.cuda.get_rng_state()
    transform({"image": [make_image("red", 1)], "label": [0], "row": [0]})
    assert torch.cuda.get_rng_state().equal(before)
    pixels, boxes = torch.zeros(2, 3, 8, 8, device=CUDA), torch.tensor([[0, 0, 8, 8]] * 2, device=CUDA)
    once = fill_with_noise(pixels, boxes)
    torch.cuda.set_rng_state(before)
    assert fill_with_noise(pixels, boxes).equal(once)
    assert once.std() > 0.5


def test_features_on_the_gpu_are_those_of_the_cpu(tmp_path):
    model, scoring = tiny_model("vit"), EvalTransform(tiny_processor(), range(3))
    made = [scoring({"image": [make_image("red", i)], "label": [0]}) for i in range(5)]
    rows = [{key: value[0] for key, value in each.items()} for each in made]
    found = []
    for device in (torch.device("cpu"), CUDA):
        arguments = SimpleNamespace(device=device, mixed_precision="no", eval_batch_size=2, dataloader_num_workers=0)
        found.append([each["pixel_values"] for each in extract_features(model.to(device), "classifier", rows, scoring,
                                                                        arguments)])  # fmt: skip
    assert all(abs(one - two).max() < 1e-4 for one, two in zip(*found, strict=True))


def test_a_candidate_on_the_cpu_is_timed_on_the_gpu():
    arguments = SimpleNamespace(device=CUDA, mixed_precision="bf16", per_device_train_batch_size=BATCH)
    model = tiny_model("vit")
    assert measure_speed(model, (SIZE, SIZE), arguments, training=True) > 0
    assert model.device.type == "cuda"


def test_predict_in_half_precision_is_close(recipe, tmp_path):
    table, images = {}, [str(tmp_path / "photos" / "test")]
    for half in (False, True):
        file = tmp_path / f"{half}.csv"
        predict_images(recipe["model"]["checkpoint"], images, file, PredictOptions(half=half, device="cuda"))
        with file.open(newline="") as lines:
            table[half] = list(csv.DictReader(lines))
    for full, halved in zip(table[False], table[True], strict=True):
        assert abs(float(full["score_1"]) - float(halved["score_1"])) < 1e-2
        assert halved["model"] == f"{full['model']}-half"
        assert full["score_1"] != halved["score_1"]


def test_onnx_runs_on_the_gpu(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")
    tiny_model("convnext").save_pretrained(tmp_path / "model")
    tiny_processor().save_pretrained(tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), "--output", str(tmp_path / "onnx")]) == 0
    pixels = torch.randn(3, 3, SIZE, SIZE)
    ours, theirs = (open_classifier(str(tmp_path / name), "cuda").logits(pixels) for name in ("model", "onnx"))
    assert torch.allclose(ours, theirs, atol=1e-3)
