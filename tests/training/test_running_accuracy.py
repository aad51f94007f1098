"""Training accuracy: of the batches as they pass, since the last log; none where images are mixed."""

import pytest
import torch
from test_trainer import make_trainer

from hf_imgcls.images.mixing import Mixing
from hf_imgcls.training.accuracy import RunningAccuracy
from hf_imgcls.training.loss import Custom


def test_it_counts_images_since_the_last_reading():
    running, logits = RunningAccuracy(), torch.eye(3)
    assert running.read() is None
    running.saw(logits, torch.tensor([0, 1, 0]))
    running.saw(logits[:1], torch.tensor([0]))  # a smaller batch counts by its images
    assert running.read() == 3 / 4
    running.saw(logits, torch.tensor([1, 2, 2]))
    assert running.read() == 1 / 3
    running.saw(logits, torch.tensor([0, 1, 2]))
    running.on_train_begin(None, None, None)
    assert running.read() is None


class TwoProcesses:
    """An accelerator whose other process counted as this one did, and one wrong image more."""

    num_processes = 2

    def reduce(self, counts, reduction):
        assert reduction == "sum"
        return counts + counts + torch.tensor([0, 1])


def test_it_is_of_the_images_of_all_processes():
    running = RunningAccuracy()
    running.saw(torch.eye(2), torch.tensor([0, 0]))
    assert running.read(TwoProcesses()) == 2 / 5


def each_alone(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


@pytest.mark.parametrize("own", [{}, {"custom": Custom(loss=each_alone)}])
def test_what_is_logged_is_that_of_the_batches_trained_on(own, make_folder, tmp_path):
    training = {"logging_steps": 2, "eval_strategy": "epoch"}
    trainer = make_trainer(make_folder(train=4, validation=2), tmp_path, own=own, **training)
    seen = []

    def spy(module, args, kwargs, outputs):
        if module.training:
            seen.append(outputs["logits"].argmax(-1))

    trainer.model.register_forward_hook(spy, with_kwargs=True)
    prepare, labels = trainer._prepare_inputs, []

    def remembering(inputs):
        inputs = prepare(inputs)
        if trainer.model.training:
            labels.append(inputs["labels"])
        return inputs

    trainer._prepare_inputs = remembering
    trainer.train()
    right = [(a == b).float().mean().item() for a, b in zip(seen, labels, strict=True)]  # six batches of four
    logged = [entry["train_accuracy"] for entry in trainer.state.log_history if "loss" in entry]
    assert logged == pytest.approx([sum(right[i : i + 2]) / 2 for i in (0, 2, 4)])


def test_there_is_none_where_images_are_mixed(make_folder, tmp_path, capsys):
    own = {"mixing": Mixing([{"MixUp": {"alpha": 0.2}}], 3)}
    trainer = make_trainer(make_folder(train=4, validation=2), tmp_path, own=own, num_train_epochs=1)
    trainer.train()
    assert any("loss" in entry for entry in trainer.state.log_history)
    assert not any("train_accuracy" in entry for entry in trainer.state.log_history)
    assert "train accuracy" not in capsys.readouterr().out
