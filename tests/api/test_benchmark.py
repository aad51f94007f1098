"""The benchmark of a recipe: what it measures, and that it writes nothing; the scripts in benchmarks/."""

import importlib.util
import json
import re
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls import InputError, machine
from hf_imgcls.api.benchmark import describe_measurement, measure_recipe
from hf_imgcls.api.measurement import Measurement
from hf_imgcls.cli import main
from hf_imgcls.training.trainer import ImageTrainer


@pytest.fixture
def recipe(make_folder, tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    return {
        "data": {"path": str(make_folder(train=4, validation=2))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "augmentation": {"train": ["RandomResizedCrop"], "mix": ["MixUp"]},
        "stages": [{"train": "head", "cache_features": True, "augmentation": {}}, {"train": {"last_blocks": 1}}],
        "training": {
            "output_dir": str(tmp_path / "run"), "per_device_train_batch_size": 3, "gradient_accumulation_steps": 2,
            "push_to_hub": True, "hub_model_id": "somebody/else", "eval_on_start": True, "save_strategy": "steps",
            "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1, "dataloader_pin_memory": True,
        },
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:'pin_memory' argument")
def test_all_parts_are_measured_and_nothing_is_written(recipe, tmp_path, monkeypatch, capsys):
    trained = []
    train = ImageTrainer.train

    def note_and_train(self):
        trained.append((self.train_dataset, self.state, self))
        memory.append("trained")
        return train(self)

    memory = []
    monkeypatch.setattr(ImageTrainer, "train", note_and_train)
    monkeypatch.setattr(machine, "release_device", lambda device: memory.append("released"))
    monkeypatch.setattr(machine, "begin_peak", lambda: memory.append("counted"))
    recipe["averaging"] = {"ema_decay": 0.9}
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(recipe))
    assert main(["benchmark", str(file), "--steps", "4", "--output", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["stage"], found["batch"], found["steps"]) == (2, 3, 4)
    assert all(found[part] > 0 for part in ("data", "model", "both"))
    assert found["ratio"] == pytest.approx(found["both"] / found["model"], rel=0.01)
    assert found["processes"][0]["memory"] > 100
    assert not (tmp_path / "run").exists()
    (synthetic, _, first), (real, _, second) = trained
    assert set(synthetic) == {None}
    assert len(real) == 12
    # The repeated batch is on the device, where nothing can be pinned, whatever the recipe sets for its own batches.
    assert (first.args.dataloader_pin_memory, second.args.dataloader_pin_memory) == (False, True)
    assert not first.get_train_dataloader().base_dataloader.pin_memory
    assert memory == ["released", "counted", "trained"] * 2, "the memory of a GPU is that of one training"
    assert (first.ema_decay, second.ema_decay) == (0.9, 0.9)
    for trainer in (first, second):
        assert trainer.state.global_step == 4 + 3
        assert trainer.clock.images == 7 * 6
        assert sum(p.requires_grad for p in trainer.model.parameters()) < len(list(trainer.model.parameters()))
    out = capsys.readouterr().out
    assert out.startswith("machine: CPU")
    assert "the model alone (the limit)" in out


def test_the_table_of_two_processes_has_their_sum():
    each = {"data": 100.0, "model": 20.0, "both": 15.0, "memory": 500, "worker_memory": 0, "gpu_memory": 0}
    settings = {
        "device": "cpu", "gpu": None, "processes": 2, "cores_per_process": 1, "threads": 1, "workers": 0,
        "persistent_workers": False, "pinned_memory": False, "non_blocking": False, "channels_last": False,
        "precision": "float32", "tf32": False, "optimizer": "sgd", "compile": None,
    }  # fmt: skip
    found = {"data": 200.0, "model": 40.0, "both": 30.0, "ratio": 0.75, "processes": [each, each]}
    lines = describe_measurement({**found, "machine": settings, "notes": ["launch: note"]})
    assert lines[1] == "launch: note"
    assert [line.split()[-3:] for line in lines[3:6]] == [
        ["200.0", "100.0", "100.0"], ["40.0", "20.0", "20.0"], ["30.0", "15.0", "15.0"]
    ]  # fmt: skip
    assert lines[6].split()[-1] == "75.0%"
    assert lines[7].split()[-3:] == ["1,000", "500", "500"]
    assert len(lines) == 8


def test_only_a_measurement_is_replaced(recipe, tmp_path, monkeypatch, capsys):
    found = dict.fromkeys(("data", "model", "both", "ratio", "machine"))
    monkeypatch.setattr("hf_imgcls.api.measure_recipe", lambda *words: found)
    monkeypatch.setattr("hf_imgcls.api.describe_measurement", lambda found: [])
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(recipe))
    for place, line in ((file, "is there, and not of a benchmark"), (tmp_path / "no/x.json", "there is no folder")):
        assert main(["benchmark", str(file), "--output", str(place)]) == 2
        assert line in capsys.readouterr().err
    assert json.loads(file.read_text()) == recipe
    for _ in range(2):
        assert main(["benchmark", str(file), "--output", str(tmp_path / "speed.json")]) == 0


def test_a_recipe_that_cannot_be_measured_is_one_line(recipe):
    del recipe["stages"][1]
    with pytest.raises(InputError, match="cached features"):
        measure_recipe(recipe)
    with pytest.raises(InputError, match="--steps: found 0"):
        measure_recipe(recipe, steps=0)


@pytest.mark.parametrize("script", sorted(Path("benchmarks").rglob("*.py")), ids=lambda script: script.name)
def test_the_benchmark_scripts_import_names_that_exist(script):
    found = re.findall(r"^ *from (hf_imgcls[\w.]*) import (.+)$", script.read_text(), re.MULTILINE)
    for module, names in found:
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


@pytest.mark.parametrize(("count", "steady"), [(12, False), (100, True)])
def test_an_epoch_that_is_prefetched_as_a_whole_gives_no_steady_rate(count, steady):
    rows = datasets.Dataset.from_dict({"label": [0] * count})
    arguments = SimpleNamespace(
        dataloader_num_workers=3, dataloader_prefetch_factor=4, gradient_accumulation_steps=1, train_batch_size=2,
        world_size=1,
    )  # fmt: skip
    doubt = Measurement(SimpleNamespace(arguments=arguments), None, None, 5).doubt(rows)
    assert (doubt is None) == steady
    assert steady or "(6 of up to 12 batches)" in doubt


@pytest.fixture
def job():
    """Of ten images in batches of four: an epoch has steps of 4, 4 and 2."""
    spec = importlib.util.spec_from_file_location("job", "benchmarks/trainers/job.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    asked = {"workers": 0, "batch": 4, "steps": 2, "images": 10, "device": "cpu", "epochs": 2, "every": 2}

    def make(seconds, target=None):
        made, clock = module.Job(**asked, target=target), iter(seconds)
        made.now = lambda: next(clock)
        return made, module.Answered

    return make


def test_a_rate_beside_others_is_that_of_the_steps_after_those_before_the_clock(job):
    made, answered = job([100.0, 102.0])
    assert [made.stepped() for _ in range(4)] == [False] * 4
    with pytest.raises(answered):
        made.stepped()
    assert made.answer["rate"] == (4 + 4) / 2.0


@pytest.mark.parametrize(("accuracies", "seconds"), [((0.5, 0.9), 10.0 + 7.0), ((0.5, 0.6, 0.6), None)])
def test_the_time_to_an_accuracy_is_that_of_training_and_ends_with_the_last_evaluation(accuracies, seconds, job):
    # Begun, then a step and its evaluation in turn.
    made, answered = job([0.0, 10.0, 40.0, 47.0, 60.0, 65.0, 90.0], target=0.9)
    made.start()

    def train():
        for accuracy in accuracies:
            assert [made.stepped(), made.stepped()] == [False, True]
            made.evaluated(accuracy)

    with pytest.raises(answered):
        train()
    assert made.answer["seconds"] == seconds
    assert made.answer["images"] == (10 + 4 if seconds else 20)
    assert made.answer["with_evaluation"] == (60.0 if seconds else 90.0)
    assert made.answer["accuracy"] == max(accuracies)
