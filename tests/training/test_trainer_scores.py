"""The loss, rates, precision, workers and scores of the trainer; what it saves."""

import multiprocessing

import numpy as np
import pytest
import torch
from test_trainer import largest_difference, make_trainer, without_dropout
from torch.nn.functional import cross_entropy

from hf_imgcls.models.restore import differing_tensors


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
