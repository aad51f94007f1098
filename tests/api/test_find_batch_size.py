"""Finding the largest batch of a recipe's stage: nothing is left behind, and the line sets it."""

from types import SimpleNamespace

import pytest
import torch

from hf_imgcls import find_batch_size, load_recipe
from hf_imgcls.api import find_batch
from hf_imgcls.cli import main
from hf_imgcls.training.trainer import ImageTrainer


@pytest.fixture
def recipe(write_recipe):
    content = {
        "averaging": {"ema_decay": 0.9},
        "stages": [{"train": "head", "cache_features": True}],
        "training": {"output_dir": "run", "per_device_train_batch_size": 6, "gradient_accumulation_steps": 2},
    }
    return write_recipe(content, train=11, validation=1)


def test_steps_are_measured_and_the_line_sets_what_fits(recipe, tmp_path, monkeypatch, capsys):
    trained, heads, train = [], [], ImageTrainer.train

    def noted(trainer):
        done = train(trainer)
        trained.append((trainer.args.train_batch_size, trainer.clock.images, trainer.ema_decay))
        heads.append(trainer.model.head)
        return done

    monkeypatch.setattr(ImageTrainer, "train", noted)
    before = sorted(tmp_path.rglob("*"))
    assert main(["find-batch-size", str(recipe)]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert trained == [(2, 6, 0.9), (8, 24, 0.9), (32, 96, 0.9)]
    assert len(set(heads)) == 3  # of copies: LoRA would be added to what has it already
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "stages.0.training.per_device_train_batch_size=32"
    assert load_recipe(recipe, out[-1:]).stages[0].training.per_device_train_batch_size == 32
    assert "a step has 12 images now (6 x 2), 2.67 times as many then" in out[-2]
    assert any("32 images fit at a time (reckoned, not tried" in line for line in out)
    assert sum("trains 51 of" in line for line in out) == 0


def test_a_step_keeps_its_images_and_the_gpu_is_tried(recipe, monkeypatch):
    monkeypatch.setattr(find_batch, "_reckon", lambda opened, most: 4)
    found = find_batch_size(recipe, keep_step_size=True)
    words = "stages.0.training.per_device_train_batch_size=4 stages.0.training.gradient_accumulation_steps=3"
    assert found == {"batch_size": 4, "fits": 4, "override": words, "tried": False}
    load_recipe(recipe, words.split())


def test_several_processes_and_a_solved_head_are_one_line(recipe, capsys, monkeypatch):
    assert main(["find-batch-size", str(recipe), "averaging={}", "stages.0.logistic_regression=true"]) == 2
    assert "stages.0.logistic_regression: a solved head has neither" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["find-batch-size", str(recipe)]) == 2
    assert "find-batch-size: run it as a single process" in capsys.readouterr().err


def test_on_a_gpu_each_try_begins_with_its_memory_and_the_last_one_is_told(monkeypatch, capsys):
    """A training of the size that fits, beside what the tries before it have left, might not fit."""
    calls = []

    def train(opened, images):
        calls.append(images)
        if images > 16:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")

    plan = SimpleNamespace(arguments=SimpleNamespace(device=torch.device("cuda")))
    monkeypatch.setattr(find_batch, "_train", train)
    monkeypatch.setattr(find_batch, "release_device", lambda device: calls.append("released"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: calls.append("from here"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**20)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: SimpleNamespace(total_memory=80 * 2**20))
    assert find_batch._try(SimpleNamespace(plan=plan), 64) == 16
    begun = ["released", "from here"]
    assert calls == [*begun, 64, *begun, 32, *begun, 16, "released"]
    assert "a step of 16 images takes 3.1 MB of the GPU's 83.9 MB" in capsys.readouterr().out
