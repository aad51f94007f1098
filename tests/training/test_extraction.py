"""Features on a CPU: one process for each thread, the same bits whatever their number, the training's precision."""

import json
import os

import datasets
import numpy as np
import pytest
import torch
from tiny import SIZE, tiny_model, tiny_processor
from transformers import TrainingArguments

from hf_imgcls import train_classifier
from hf_imgcls.data import attach_transform
from hf_imgcls.images.transforms import EvalTransform
from hf_imgcls.models.head import head_module
from hf_imgcls.training import extraction
from hf_imgcls.training.features import cached_features

SCORING = EvalTransform(tiny_processor(), [0, 1, 2])


@pytest.fixture
def extract(data, tmp_path, monkeypatch):
    """Features of 12 images in three batches, and by how many processes they were computed, and whether by this one."""
    model, seen = tiny_model("vit"), extraction._Features.__call__
    marked = lambda self, rows: {**seen(self, rows), "process": os.getpid()}  # noqa: E731
    monkeypatch.setattr(extraction._Features, "__call__", marked)
    monkeypatch.setattr(extraction, "cores_per_process", lambda: 2)

    def run(threads: int, half: bool = False) -> tuple[np.ndarray, list[int]]:
        arguments = TrainingArguments(str(tmp_path), use_cpu=True, bf16=half, per_device_eval_batch_size=5)
        rows, before = attach_transform(data.splits["train"], SCORING), torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            torch.rand(2_000_000).sum()  # by all threads: one of a forked process would wait for them for ever
            found = extraction.extract_features(model, head_module(model, (SIZE, SIZE)), rows, SCORING, arguments)
            found = list(found)
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
        assert np.concatenate([each["labels"] for each in found]).tolist() == data.splits["train"]["label"][:]
        return np.concatenate([each["pixel_values"] for each in found]), [each["process"] for each in found]

    return run


@pytest.mark.parametrize("half", [False, True])
def test_features_are_the_same_to_the_bit_with_one_process_and_with_several(half, extract, monkeypatch):
    alone, processes = extract(1, half)
    assert processes == [os.getpid()] * 3
    assert alone.dtype == np.float32
    monkeypatch.setattr(extraction, "_WORTH", -1.0)
    together, processes = extract(2, half)
    assert processes[0] == os.getpid()  # by the first batch it is known whether others are worth their start
    assert len({*processes}) == 3
    assert np.array_equal(alone, together)


def test_little_work_starts_no_process(extract, monkeypatch):
    monkeypatch.setattr(extraction, "_WORTH", 1000.0)
    assert {*extract(2)[1]} == {os.getpid()}


def test_features_of_another_precision_are_other_features(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    found = {}
    for half in (False, True, True):
        arguments = TrainingArguments(str(tmp_path), use_cpu=True, bf16=half, disable_tqdm=True)
        rows = cached_features(tiny_model("vit"), data.splits["train"], SCORING, data.fingerprints["train"], arguments)
        found[half] = rows[:]["pixel_values"]
    said = capsys.readouterr().out
    assert (said.count("computed and cached"), said.count("read from the cache")) == (2, 1)
    assert found[True].dtype == torch.float32
    assert not torch.equal(found[True], found[False])
    assert torch.nn.functional.cosine_similarity(found[True], found[False]).min() > 0.999


def test_a_cpu_that_can_computes_each_stage_in_the_faster_precision(make_folder, tmp_path, monkeypatch, undrawn):
    """A head on features in bf16, then all weights in float32, and in both cases scores in float32."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr("hf_imgcls.models.half.count_operations", lambda model, size: (10**9, 10**8))
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    seen, forward = [], torch.nn.Linear.forward

    def linear(self, values):
        made = forward(self, values)
        seen.append((self.out_features, torch.is_grad_enabled(), made.dtype))
        return made

    monkeypatch.setattr(torch.nn.Linear, "forward", linear)
    results = train_classifier(
        {
            "data": {"path": str(make_folder(train=2, validation=2))},
            "model": {"checkpoint": str(tmp_path / "checkpoint")},
            "stages": [{"train": "head", "cache_features": True}, {"train": "all"}],
            "training": {"output_dir": str(tmp_path / "run"), "num_train_epochs": 1, "disable_tqdm": True},
        }
    )
    assert results["machine"]["precision"] == "bf16 then float32"
    begun = json.loads((tmp_path / "run" / "begun.json").read_text())
    assert [stage["precision"] for stage in begun["settings"]["each_stage"]] == ["bf16", "float32"]
    assert {dtype for _, trains, dtype in seen if trains} == {torch.float32}
    assert {width for width, _, dtype in seen if dtype == torch.bfloat16} >= {16, 24}
    assert seen[-1][2] == torch.float32
