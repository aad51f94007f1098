"""Training on a stream: a resumed run goes on where it stopped, in any pass, and ends as an uninterrupted one."""

from collections import Counter

import pytest
import torch
from streamed import PASS, compare_resumed, make_trainer, write_parquet, write_tars

from hf_imgcls.errors import InputError
from hf_imgcls.training.stream import divide_batches


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    """`datasets` pauses for five seconds behind every pass over shuffled parquet files."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


@pytest.mark.parametrize(
    ("write", "workers", "steps", "training"),
    [
        # A pass takes three steps of 5, 5 and 2 images: at the end of the first, within the second.
        (write_parquet, 0, [3, 5], {}),
        (write_tars, 2, [2, 4], {"dataloader_persistent_workers": True}),
        # Three batches of 4 in two steps, the second of one batch that becomes two of 2.
        (write_tars, 0, [1, 3], {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}),
        (write_parquet, 0, [3], {"save_strategy": "epoch", "eval_strategy": "no"}),
    ],
)
def test_a_resumed_stream_goes_on_where_it_stopped(write, workers, steps, training, tmp_path):
    whole, same = compare_resumed(
        write(tmp_path), tmp_path, steps, max_steps=7, dataloader_num_workers=workers, **training
    )
    assert same == dict.fromkeys(steps, True)
    seen = Counter(image for batch in whole.seen for image in batch)
    assert set(seen.values()) == {1}
    assert Counter(epoch for epoch, _ in seen)[0] == Counter(epoch for epoch, _ in seen)[1] == PASS


def test_images_before_the_position_are_not_read_again(tmp_path, monkeypatch):
    data, read = write_parquet(tmp_path), []
    make_trainer(data, tmp_path / "run", max_steps=6).train()
    resumed = make_trainer(data, tmp_path / "resumed", max_steps=6, save_strategy="no", eval_strategy="no")
    transform = resumed.train_dataset.transform
    resumed.train_dataset.transform = lambda rows: read.append(rows["row"]) or transform(rows)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-5"))
    assert len(read) <= 1 + 2 + 5  # one that the last batch would be filled up with, 2 of the second pass, 5 ahead
    assert len(resumed.seen) == 1


def test_another_number_of_workers_would_read_in_another_order(tmp_path):
    position = make_trainer(write_parquet(tmp_path), tmp_path / "run", dataloader_num_workers=2).position
    with pytest.raises(InputError, match="dataloader_num_workers: the stream was read by 1 and its rows would come in"):
        position.restore({"epoch": 1, "batches": 2, "places": [[5, 4, 3]]})


def test_what_cannot_divide_a_stream_among_processes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.TrainingArguments.world_size", 2)
    with pytest.raises(InputError, match="dispatch_batches=false cannot divide a stream"):
        make_trainer(write_parquet(tmp_path), tmp_path / "run", accelerator_config={"dispatch_batches": False})


def test_batches_too_few_for_a_step_are_divided():
    batches = [
        {"labels": torch.arange(3), "pixels": torch.zeros(3, 2)},
        {"labels": torch.tensor([3]), "pixels": torch.ones(1, 2)},
    ]
    divided = divide_batches(batches, 3)
    assert [batch["labels"].tolist() for batch in divided] == [[0, 1], [2], [3]]
    assert [len(batch["pixels"]) for batch in divided] == [2, 1, 1]
    assert divide_batches(batches, 5) == divide_batches([], 2) == []
