"""What a run advises: each piece of advice from the plan of a real recipe, which `check` accepts with it."""

import re
import shutil

import pytest
from conftest import COLOURS, make_image
from tiny import tiny_model, tiny_processor

from hf_imgcls.api import check_recipe
from hf_imgcls.data import load_data
from hf_imgcls.images import EvalTransform
from hf_imgcls.machine import Machine
from hf_imgcls.models import build_model
from hf_imgcls.recipe import load_recipe
from hf_imgcls.reports import advise_run
from hf_imgcls.training import PARTS, plan_stages

GPU, CPU = Machine("cuda", "NVIDIA H200", 16, "bf16", True), Machine("cpu", "", 2, None, False)
FLIP = {"train": ["RandomHorizontalFlip"]}
BOUND_BY = {
    "data": {"data": 60.0, "model": 40.0},
    "model": {"data": 5.0, "model": 95.0},
    "evaluation": {"evaluation": 60.0, "model": 40.0},
    "saving": {"saving": 30.0, "model": 70.0},
    "nothing": {"model": 100.0},
}


@pytest.fixture
def recipe(make_folder, tmp_path):
    def make(side: int = 24, **sections) -> dict:
        folder = make_folder(train=2, validation=1)
        for file in folder.glob("train/*/*.png"):
            make_image(file.parent.name, int(file.stem), (24, 20)).resize((side, side)).save(file)
        for part in (tiny_model("vit", list(COLOURS)), tiny_processor()):
            part.save_pretrained(tmp_path / "checkpoint")
        training = {"output_dir": str(tmp_path / "run"), **sections.pop("training", {})}
        model = {"checkpoint": str(tmp_path / "checkpoint")}
        return {"data": {"path": str(folder)}, "model": model, "augmentation": FLIP, **sections, "training": training}

    return make


def advised(content: dict, bound_by: str, machine=GPU, seconds=100.0, channels_last=False, **record) -> str | None:
    """The advice for the last stage of a recipe's plans; the recipe with it is checked."""
    recipe = load_recipe(content)
    data = load_data(recipe.data)
    model, processor = build_model(recipe.model, data.labels, 42)
    plans = plan_stages(recipe, data, model, EvalTransform(processor, range(len(data.labels))))
    spent = dict.fromkeys(PARTS, 0.0) | {part: value * seconds / 100 for part, value in BOUND_BY[bound_by].items()}
    time = {**spent, "seconds": seconds, "images": 100, "reading": 1.0}
    evaluations = [] if "validation" not in data.splits else [{"eval_loss": 1.0}] * 10
    last = {"steps": 1000, "epochs": 10.0, "history": [*evaluations, {"time": time}], **record}
    records = [{"steps": 1, "epochs": 1.0, "history": [{"time": {**time, "seconds": 1.0}}]}] * (len(plans) - 1)
    advice = advise_run(plans, [*records, last], data, machine, channels_last)
    if advice:
        overrides = re.sub(r"^stage \d+: | \(.*\)$", "", advice).split(" ")
        assert all("=" in override for override in overrides), advice
        check_recipe(content, [*overrides, "training.use_cpu=true"])  # which has bf16, without a GPU too
    return advice


def test_waiting_for_large_images_is_met_by_workers_then_by_copies(recipe):
    content = recipe(side=1200)
    assert advised(content, "data").startswith("training.dataloader_num_workers=15 (60% of the training was waiting")
    advice = advised(content, "data", CPU, epochs=50.0)
    assert advice.startswith("data.cache_size=32 (60% of the training was waiting")
    copied = {**content, "data": {**content["data"], "cache_size": 32}}
    assert advised(copied, "data", CPU, epochs=50.0) is None


def test_a_frozen_backbone_that_sees_the_same_images_again_gets_cached_features(recipe):
    head = {"train": "head", "augmentation": {}}
    content = recipe(stages=[{"train": "all"}, head])
    assert advised(content, "model", CPU).startswith("stage 2: stages.1.cache_features=true (95% of the training was f")
    assert advised(content, "model", CPU, epochs=1.0) is None
    for other in ({"train": "head"}, {**head, "cache_features": True}, {**head, "augmentation": {"mix": ["MixUp"]}}):
        assert advised({**content, "stages": [other]}, "model", CPU) is None
    stream = {**content["data"], "streaming": True, "label_names": list(COLOURS)}
    streamed = {**content, "data": stream, "stages": [head], "training": {**content["training"], "max_steps": 10}}
    assert advised(streamed, "model", CPU) is None


def test_evaluating_or_saving_too_often_is_halved_in_the_stage_that_does_it(recipe):
    content = recipe(stages=[{"train": "all"}, {"train": "all"}])
    assert advised(content, "evaluation").startswith(
        "stage 2: stages.1.training.eval_strategy=steps stages.1.training.eval_steps=200 "
        "stages.1.training.save_strategy=steps stages.1.training.save_steps=200 (60% of the training was evaluation)"
    )
    single = {key: value for key, value in content.items() if key != "stages"}
    assert "training.save_steps=200 (30%" in advised(single, "saving")
    seldom = [{"eval_loss": 1.0}] * 2
    assert advised(single, "evaluation", CPU, history=[*seldom, {"time": _time(evaluation=60.0, model=40.0)}]) is None
    unevaluated = {**single, "training": {**single["training"], "eval_strategy": "no"}}
    assert advised(unevaluated, "saving", history=[{"time": _time(saving=30.0, model=70.0)}]).startswith(
        "training.save_strategy=steps training.save_steps=200 (30%"
    )


def _time(**parts) -> dict:
    return {**dict.fromkeys(PARTS, 0.0), **parts, "seconds": sum(parts.values()), "images": 100, "reading": 1.0}


def test_a_training_bound_by_its_model_hears_what_is_not_done_already(recipe, monkeypatch):
    content = recipe()
    assert advised(content, "model").startswith("training.bf16=true (95% of the training was forward")
    half = {**content, "training": {**content["training"], "bf16": True, "use_cpu": True}}
    assert advised(half, "model") is None
    assert advised(half, "model", seconds=9000.0).startswith("training.torch_compile=true")
    compiled = {**half, "training": {**half["training"], "torch_compile": True, "torch_compile_backend": "eager"}}
    assert advised(compiled, "model", seconds=9000.0) is None
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert advised(content, "model", CPU, 9000.0) is None, "no convolutions"
    assert advised(content, "model", CPU, 9000.0, True).startswith("training.torch_compile=true")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert advised(content, "model", CPU, 9000.0, True) is None


def test_a_run_without_a_timed_stage_says_nothing(recipe):
    assert advised(recipe(), "nothing", history=[{"step": 20}]) is None
