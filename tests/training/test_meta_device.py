"""The path of a batch, on the meta device: what would wait for a GPU, or mix devices, fails on a CPU."""

import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_model, tiny_processor
from transformers import TrainingArguments
from without_waiting import META, SIDE, STEPS, no_waiting, ready_batch, step_trainer, take_step

from hf_imgcls.models.lora import add_lora
from hf_imgcls.recipe import DistillationSection, Lora, LoraSection
from hf_imgcls.training import candidates, stages
from hf_imgcls.training.check import check_last_batch
from hf_imgcls.training.distillation import Teacher
from hf_imgcls.training.ema import WeightAverage
from hf_imgcls.training.solved_head import losses_of, solved_on
from hf_imgcls.training.trainer import ImageTrainer


@pytest.fixture
def on_meta(monkeypatch):
    """As Trainer's device; what else is set up with it stays as it is."""
    monkeypatch.setattr(TrainingArguments, "device", property(lambda self: self._setup_devices and META))


def take_steps(trainer: ImageTrainer, name: str) -> torch.Tensor:
    """The loss of the second step, in which nothing may wait: what comes to the device once, came in the first."""
    take_step(trainer, ready_batch(name, META))
    batch = ready_batch(name, META)
    with no_waiting():
        return take_step(trainer, batch)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_waits_for_nothing_and_stays_on_its_device(name, on_meta, tmp_path):
    trainer, seen = step_trainer(name, tmp_path), []
    trainer.clock.saw = lambda pixels: seen.append(pixels.dtype)
    loss = take_steps(trainer, name)
    assert loss.device == META
    assert all(each.grad is not None and each.grad.device == META for each in trainer.model.parameters())
    assert seen == [torch.uint8] * 2, "the time of a copy is that of what is copied"


def test_reading_a_loss_or_copying_to_the_device_would_be_seen(on_meta, tmp_path, monkeypatch):
    trainer, labels = step_trainer("plain", tmp_path), torch.tensor([0, 1, 2, 0])
    trainer.distilled = lambda total, pixels, logits: total * labels.to(META).sum()
    with pytest.raises(AssertionError, match="_to_copy"):
        take_steps(trainer, "plain")
    trainer.distilled = lambda total, pixels, logits: total * logits[labels].sum()
    with pytest.raises(AssertionError, match="index"):
        take_steps(trainer, "plain")
    trainer.distilled = lambda total, pixels, logits: total * logits[:, [1, 0]].sum()
    with pytest.raises(AssertionError, match="__getitem__ of a list"):
        take_steps(trainer, "plain")
    trainer.distilled = lambda total, pixels, logits: total * total.item()
    with pytest.raises(RuntimeError, match="meta"):
        take_steps(trainer, "plain")


def test_a_teacher_and_updates_of_lora_wait_for_nothing(on_meta, tmp_path, monkeypatch):
    trainer = step_trainer("plain", tmp_path)
    loaded = tiny_model("vit", ("red", "green", "blue")).eval(), tiny_processor()
    monkeypatch.setattr("hf_imgcls.training.distillation.load_network", lambda name, revision: loaded)
    trainer.teacher = Teacher(DistillationSection(teacher="any"), ("blue", "green", "red"), trainer.images)
    trainer.teacher.to(META)
    assert take_steps(trainer, "plain").device == META
    section = Lora(lora=LoraSection(rank=2, target_modules=["q_proj"]))
    student = step_trainer("plain", tmp_path)
    model = tiny_model("vit")
    add_lora(model, section, (SIDE, SIDE), seed=0)
    student.model = student.model_wrapped = model.to(META)
    assert take_steps(student, "plain").device == META


def test_an_average_follows_a_model_to_its_device():
    model = tiny_model("mini_xception")
    average = WeightAverage(model, 0.9)
    average.update()
    model.to(META)
    average.update()
    assert {each.device for pair in average._pairs().values() for each in pair} == {META}
    assert average.updates == 2


def test_operations_are_reckoned_once_for_each_shape(tmp_path, monkeypatch):
    trainer, asked = step_trainer("plain", tmp_path, use_cpu=True), []
    count = type(trainer.model).num_parameters
    monkeypatch.setattr(
        type(trainer.model), "num_parameters", lambda self, **how: asked.append(1) or count(self, **how)
    )
    batch = ready_batch("plain", "cpu")
    half = {key: value[:2] for key, value in batch.items()}
    found = [trainer.floating_point_ops(each) for each in (batch, half, batch, half)]
    assert found[0] == 2 * found[1] == found[2] == 6 * batch["pixel_values"].numel() * count(trainer.model)
    assert len(asked) == 2


def test_a_candidate_is_timed_where_it_would_train(monkeypatch):
    """Its features may come from the cache: then nothing has moved the network to the device yet."""
    precisions, reached = [], []
    monkeypatch.setattr(torch, "autocast", lambda *how, enabled: precisions.append((*how, enabled)) or torch.no_grad())
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: reached.append(time.perf_counter()))
    model = tiny_model("vit")
    arguments = SimpleNamespace(device=META, mixed_precision="fp16", per_device_train_batch_size=5)
    seen = []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["pixel_values"]), with_kwargs=True)
    assert candidates.measure_speed(model, (SIDE, SIDE), arguments) > 0
    assert (model.device, len(reached)) == (META, 2)
    assert {(each.device, len(each)) for each in seen} == {(META, 5)}
    assert precisions == [("meta", torch.float16, True)]


def test_several_gpus_are_not_asked_for_their_generators(monkeypatch):
    """torch warns of it, once for each process."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    model = tiny_model("vit")
    arguments = SimpleNamespace(world_size=1, train_batch_size=4, dataloader_drop_last=False)
    check_last_batch(model, [], 5, arguments, (SIDE, SIDE))
    before = torch.get_rng_state()
    add_lora(model, Lora(lora=LoraSection(rank=2, target_modules=["q_proj"])), (SIDE, SIDE), seed=0)
    assert torch.get_rng_state().equal(before)


def test_a_head_is_solved_where_there_is_float64():
    assert solved_on(torch.device("mps")) == torch.device("cpu")
    assert solved_on(torch.device("cuda", 1)) == torch.device("cuda", 1)
    terms = STEPS["terms"][0]["terms"]
    loss = losses_of(terms, 0.1, torch.device("mps")).train
    logits = torch.zeros(3, 3, dtype=torch.float64)
    assert loss(logits, torch.tensor([0, 1, 2])).dtype == torch.float64


def test_a_stage_begins_when_the_trainer_before_it_is_gone(monkeypatch):
    """Its optimizer would stay on the device beside the next one's."""
    made, alive = [], []

    class Trained:
        model = adapter = None

        def save_run(self, folder):
            pass

    def train(plan, *others):
        alive.append(sum(each() is not None for each in made))
        trainer = Trained()
        made.append(weakref.ref(trainer))
        return trainer, {"selected_checkpoint": "last"}

    released = []
    for name, value in {
        "_train_stage": train,
        "release_device": released.append,
        "network_after": lambda plan, model: model,
        "read_stages": lambda file, folders: ([], []),
        "keep_stage": lambda *what: None,
    }.items():
        monkeypatch.setattr(stages, name, value)
    plans = [
        SimpleNamespace(
            stage=SimpleNamespace(number=number, listed=True, only_if_better=False),
            arguments=SimpleNamespace(device=META),
            folder=Path("run", f"stage-{number}"),
        )
        for number in (1, 2, 3)
    ]
    stages.train_stages(plans, None, None, None, "skip")
    assert alive == [0, 0, 0]
    assert released == [META] * 3
