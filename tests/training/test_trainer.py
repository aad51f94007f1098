import multiprocessing

import numpy as np
import pytest
import torch
from pairs import Pairs
from tiny import CONFIGS, tiny_model, tiny_processor
from torch.nn.functional import cross_entropy
from transformers import DefaultDataCollator, TrainingArguments

from hf_imgcls.data.load import load_data
from hf_imgcls.data.streaming import attach_transform
from hf_imgcls.images.mixing import Mixing
from hf_imgcls.images.transforms import EvalTransform, TrainTransform
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.recipe.sections import DataSection
from hf_imgcls.training.loss import Terms, total_loss
from hf_imgcls.training.trainer import ImageTrainer

TERMS = Terms(torch.tensor([1.0, 9.0, 2.0]), torch.tensor([0.7, 0.2, 0.1]), logit_adjustment=0.5, focal_gamma=1.5)
AUGMENTATION = [
    {"RandomResizedCrop": {"scale": [0.3, 1.0]}},
    "RandomHorizontalFlip",
    {"ColorJitter": {"brightness": 0.3}},
]


def make_trainer(folder, output, family="vit", images=None, own=None, **training) -> ImageTrainer:
    data = load_data(DataSection(path=str(folder)))
    scoring = EvalTransform(tiny_processor(), range(3))
    images = images or TrainTransform(AUGMENTATION, scoring.processor, range(3), seed=3)
    arguments = {
        "per_device_train_batch_size": 4,
        "learning_rate": 5e-3,
        "num_train_epochs": 2,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        **training,
    }
    return ImageTrainer(
        tiny_model(family),
        TrainingArguments(str(output), **arguments),
        data_collator=DefaultDataCollator(),
        train_dataset=data.splits["train"].with_transform(images),
        eval_dataset=data.splits["validation"].with_transform(scoring),
        processing_class=scoring.processor,
        images=images,
        **(own or {}),
    )


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def largest_difference(a, b) -> float:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max((x.double() - y.double()).abs().max().item() for x, y in pairs)


@pytest.mark.parametrize("family", CONFIGS)
def test_the_best_model_comes_back_exactly(family, make_folder, tmp_path):
    # The largest loss is called the best, so that the best step is the first and not the last.
    training = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    trainer = make_trainer(
        make_folder(train=8, validation=4), tmp_path / "run", family, **training,
        metric_for_best_model="loss", greater_is_better=True, learning_rate=2e-2,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.best_global_step == 6 < trainer.state.global_step
    assert differing_tensors(trainer.model, trainer.state.best_model_checkpoint) == []
    assert differing_tensors(trainer.model, tmp_path / "run" / "checkpoint-12") != []


WORKERS = {"dataloader_num_workers": 2, "dataloader_persistent_workers": True}  # as a silent recipe has it


@pytest.mark.parametrize(
    ("family", "before", "after"), [*((family, {}, [{}, WORKERS]) for family in CONFIGS), ("vit", WORKERS, [WORKERS])]
)
def test_a_run_resumed_in_its_second_epoch_ends_where_an_uninterrupted_one_does(
    family, before, after, make_folder, tmp_path
):
    folder = make_folder(train=4, validation=2)
    training = {"save_strategy": "steps", "save_steps": 4, "eval_strategy": "steps", "eval_steps": 2}
    whole = make_trainer(folder, tmp_path / "run", family, **training, **before)
    whole.train()
    for workers in after:
        resumed = make_trainer(folder, tmp_path / "run", family, **training, **workers)
        assert largest_difference(whole.model, resumed.model) > 0
        resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
        assert resumed.state.global_step == whole.state.global_step == 6
        assert largest_difference(whole.model, resumed.model) == 0.0


class Recorder(TrainTransform):
    """Remembers what each image looked like: (epoch, row) -> its sum."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = {}

    def __call__(self, rows):
        batch = super().__call__(rows)
        for row, pixels in zip(rows["row"], batch["pixel_values"], strict=True):
            self.seen.setdefault((int(self.epoch), row), []).append(pixels.sum().item())
        return batch


def test_another_epoch_shows_other_images(make_folder, tmp_path):
    recorder = Recorder(AUGMENTATION, tiny_processor(), range(3), seed=3)
    make_trainer(make_folder(train=2, validation=2), tmp_path / "run", images=recorder).train()
    assert sorted(recorder.seen) == [(epoch, row) for epoch in (0, 1) for row in range(6)]
    assert all(recorder.seen[0, row] != recorder.seen[1, row] for row in range(6))


def test_another_pass_over_a_stream_shows_other_images(make_folder, tmp_path):
    recorder = Recorder(AUGMENTATION, tiny_processor(), range(3), seed=3)
    trainer = make_trainer(make_folder(train=2, validation=2), tmp_path / "run", images=recorder, max_steps=6)
    names = ["blue", "green", "red"]
    data = load_data(DataSection(path=str(tmp_path / "photos"), streaming=True, label_names=names))
    trainer.train_dataset = attach_transform(data.splits["train"], recorder)
    trainer.train()
    passes = {epoch for epoch, _ in recorder.seen}
    assert passes == {0, 1, 2}
    assert all(len(looks) == 1 for looks in recorder.seen.values())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("own", [{}, {"mixing": Pairs()}, {"mixing": Pairs(), "terms": TERMS}])
def test_accumulated_batches_make_the_step_of_one_large_batch(own, smoothing, make_folder, tmp_path):
    folder = make_folder(train=6, validation=3)
    steps = []
    for batch, accumulation in ((16, 1), (4, 4)):
        trainer = make_trainer(
            folder, tmp_path / f"{batch}", "vit", per_device_train_batch_size=batch, max_steps=1, optim="sgd",
            gradient_accumulation_steps=accumulation, label_smoothing_factor=smoothing, max_grad_norm=0, warmup_steps=0,
            own=own,
        )  # fmt: skip
        without_dropout(trainer.model)
        trainer.train()
        steps.append((trainer.model, trainer.state.log_history[-1]["train_loss"]))
    assert steps[0][1] == pytest.approx(steps[1][1], abs=1e-6)
    assert largest_difference(steps[0][0], steps[1][0]) < 1e-7


def test_the_mixed_loss_is_the_cross_entropy_written_by_hand(make_folder, tmp_path):
    own = {"mixing": Mixing(["MixUp", "CutMix"], 3)}
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", own=own, label_smoothing_factor=0.1)
    model = without_dropout(trainer.model).train()
    inputs = {"pixel_values": torch.randn(6, 3, 16, 16), "labels": torch.tensor([0, 1, 2, 0, 1, 2])}
    for seed in range(6):
        torch.manual_seed(seed)
        loss = trainer.compute_loss(model, inputs, num_items_in_batch=torch.tensor(6)).item()
        torch.manual_seed(seed)
        pixels, targets = own["mixing"](inputs["pixel_values"], inputs["labels"])
        probabilities = torch.softmax(model(pixel_values=pixels).logits, dim=1)
        targets = 0.9 * targets + 0.1 / 3
        assert loss == pytest.approx(-(targets * probabilities.log()).sum().item() / 6, rel=1e-5)
    assert not model.config.problem_type


def test_evaluation_is_neither_mixed_nor_weighted(make_folder, tmp_path):
    own = {"mixing": Mixing(["MixUp"], 3), "terms": TERMS}
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", own=own)
    inputs = {"pixel_values": torch.randn(5, 3, 16, 16), "labels": torch.tensor([0, 1, 2, 0, 1])}
    model = trainer.model.eval()
    logits = model(pixel_values=inputs["pixel_values"]).logits
    assert trainer.compute_loss(model, inputs).item() == pytest.approx(cross_entropy(logits, inputs["labels"]).item())
    trainer.mixing = None
    trained = trainer.compute_loss(without_dropout(model.train()), inputs, num_items_in_batch=torch.tensor(5)).item()
    assert trained == pytest.approx(total_loss(logits, inputs["labels"], TERMS).item() / 5)


def test_frozen_modules_stay_in_evaluation_while_the_others_train(make_folder, tmp_path):
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", "timm", max_steps=2)
    trainer.frozen = [trainer.model.timm_model.layer1]
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items() if "running" in name}
    trainer.train()
    moved = {name for name, tensor in trainer.model.state_dict().items() if "running" in name}
    moved = {name for name in moved if not before[name].equal(trainer.model.state_dict()[name])}
    assert moved == {name for name in before if ".layer1." not in name}


def test_the_loss_is_plain_cross_entropy_and_smoothing_is_for_training_only(make_folder, tmp_path):
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", label_smoothing_factor=0.3)
    inputs = {"pixel_values": torch.randn(5, 3, 16, 16), "labels": torch.tensor([0, 1, 2, 0, 1])}
    model = trainer.model.eval()
    logits = model(pixel_values=inputs["pixel_values"]).logits
    assert trainer.compute_loss(model, inputs).item() == pytest.approx(cross_entropy(logits, inputs["labels"]).item())
    without_dropout(model.train())
    smooth = cross_entropy(logits, inputs["labels"], label_smoothing=0.3).item()
    assert trainer.compute_loss(model, inputs, num_items_in_batch=torch.tensor(5)).item() == pytest.approx(smooth)
    assert trainer.compute_loss(model, inputs, num_items_in_batch=torch.tensor(10)).item() == pytest.approx(smooth / 2)


def test_warm_up_hold_and_cosine_decay_as_fractions_of_the_run(make_folder, tmp_path):
    trainer = make_trainer(
        make_folder(train=4, validation=3), tmp_path / "run", max_steps=20, learning_rate=1.0, logging_steps=1,
        lr_scheduler_type="warmup_stable_decay", warmup_steps=0.1, lr_scheduler_kwargs={"num_decay_steps": 0.45},
        optim="sgd", optim_args="momentum=0.9", max_grad_norm=1e-6,
    )  # fmt: skip
    trainer.train()
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert rates[:2] == [0.0, 0.5]
    assert rates[2:12] == [1.0] * 10
    assert rates[12] > rates[15] > rates[19] > 0
    assert trainer.optimizer.param_groups[0]["momentum"] == 0.9


def test_uint8_images_become_the_processors_floats(make_folder, tmp_path):
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run")
    batch = {"pixel_values": torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8), "labels": torch.tensor([0, 1])}
    floats = trainer._prepare_inputs(batch)["pixel_values"]
    assert torch.allclose(floats, (batch["pixel_values"] / 255 - 0.5) / 0.5, atol=1e-6)
    same = trainer._prepare_inputs({**batch, "pixel_values": floats})["pixel_values"]
    assert torch.equal(same, floats)


def test_scores_are_in_float32_whatever_the_training_precision(make_folder, tmp_path):
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", max_steps=1)
    trainer.train()
    model = trainer.model
    rows = range(len(trainer.eval_dataset))
    before = trainer.score(trainer.eval_dataset, "validation", rows)[0].sample[1]
    # What accelerate leaves on a model that was trained with bf16: an autocast around its forward.
    model._original_forward, original = model.forward, model.forward
    model.forward = lambda *args, **kwargs: torch.autocast("cpu", torch.bfloat16)(original)(*args, **kwargs)
    autocast = np.concatenate(trainer.predict(trainer.eval_dataset).predictions)
    after = trainer.score(trainer.eval_dataset, "validation", rows)[0]
    likelihood = torch.tensor(after.sample[1]).double().log_softmax(1)[rows, after.label_ids]
    assert np.allclose(after.log_likelihoods, likelihood)
    assert not np.allclose(autocast[:, -2], likelihood, atol=1e-6)
    after = after.sample[1]
    assert (before == after).all()
    assert np.concatenate(trainer.predict(trainer.eval_dataset).predictions).tolist() == autocast.tolist()


def test_a_model_that_was_not_trained_here_is_scored_in_float32_too(make_folder, tmp_path):
    # What follows a stage on features, or a run that had already stopped: nothing has prepared the model yet.
    folder = make_folder(train=4, validation=3)
    found = []
    for half in (False, True):
        trainer = make_trainer(folder, tmp_path / "run", bf16=half, use_cpu=True)
        found.append(trainer.score(trainer.eval_dataset, "validation")[0].log_likelihoods)
    assert (found[0] == found[1]).all()


def test_workers_end_with_the_training_and_with_the_scoring(make_folder, tmp_path):
    """The garbage collector would need five seconds for each of them, in the middle of what comes next."""
    workers = {"dataloader_num_workers": 2, "dataloader_persistent_workers": True, "eval_strategy": "epoch"}
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", **workers)
    trainer.train()
    assert len(trainer.state.log_history) > 2  # it has evaluated
    assert multiprocessing.active_children() == []
    first = trainer.score(trainer.eval_dataset, "validation")[0]
    assert multiprocessing.active_children() == []
    assert (trainer.score(trainer.eval_dataset, "validation")[0].log_likelihoods == first.log_likelihoods).all()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(-first.log_likelihoods.mean(), abs=1e-5)
    trainer.stop_workers()
    assert multiprocessing.active_children() == []


def test_what_is_saved_is_no_pickle(make_folder, tmp_path):
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run")
    trainer.save_run(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json"}


def test_a_compiled_model_is_restored_saved_and_scored_as_any_other(make_folder, tmp_path):
    family, folder = "vit", make_folder(train=4, validation=4)
    training = {
        "save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2, "learning_rate": 2e-2,
        "load_best_model_at_end": True, "metric_for_best_model": "loss", "greater_is_better": True,
        "torch_compile": True, "torch_compile_backend": "eager",
    }  # fmt: skip
    whole = make_trainer(folder, tmp_path / "run", family, **training)
    frozen = [next(module for name, module in whole.model.named_modules() if "1" in name)]
    whole.frozen = frozen
    whole.train()
    assert "OptimizedModule" in type(whole.model_wrapped).__name__
    assert differing_tensors(whole.model, whole.state.best_model_checkpoint) == []
    resumed = make_trainer(folder, tmp_path / "run", family, **training)
    resumed.frozen = [next(module for name, module in resumed.model.named_modules() if "1" in name)]
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
    assert largest_difference(whole.model, resumed.model) == 0.0
    whole.save_run(tmp_path / "saved")
    assert differing_tensors(whole.model, tmp_path / "saved") == []
    found, _ = whole.score(whole.eval_dataset, "validation", [0, 3])
    plain = make_trainer(folder, tmp_path / "other", family)
    plain.model.load_state_dict(whole.model.state_dict())
    assert np.array_equal(plain.score(plain.eval_dataset, "validation", [0, 3])[0].sample[1], found.sample[1])


def test_what_is_scored_is_scored_whole_where_the_last_training_batch_is_dropped(make_folder, tmp_path):
    training = {"dataloader_drop_last": True, "per_device_train_batch_size": 5, "per_device_eval_batch_size": 5}
    trainer = make_trainer(make_folder(train=4, validation=2), tmp_path / "run", "vit", **training)
    assert [len(batch["labels"]) for batch in trainer.get_train_dataloader()] == [5, 5]
    assert [len(batch["labels"]) for batch in trainer.get_eval_dataloader()] == [5, 1]
