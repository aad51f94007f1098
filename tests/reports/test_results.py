import json
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset

from hf_imgcls.data.check import BadImage
from hf_imgcls.data.duplicates import Overlap
from hf_imgcls.data.groups import SharedGroups
from hf_imgcls.machine.hardware import describe_hardware, package_versions
from hf_imgcls.machine.processes import say
from hf_imgcls.reports.results import describe_classes, describe_data, describe_scores
from hf_imgcls.scoring.metrics import split_metrics


def test_a_splits_metrics_lose_their_prefix_and_gain_an_interval():
    raw = {"test_accuracy": 0.9, "test_macro_f1": 0.8999999999, "test_loss": 0.3, "test_runtime": 3.0}
    metrics = split_metrics(raw, "test", np.arange(100) % 2)
    assert metrics == {
        "images": 100,
        "accuracy": 0.9,
        "macro_f1": 0.9,
        "loss": 0.3,
        # Wilson's interval of 90 in 100, as any table has it
        "accuracy_interval_95": [pytest.approx(0.8256, abs=1e-4), pytest.approx(0.9448, abs=1e-4)],
        "majority_baseline": 0.5,
    }
    json.dumps(metrics)
    (line,) = describe_scores({"test": metrics})
    assert line.startswith(
        "test: accuracy 0.9000 (95 % interval 0.8256 to 0.9448; majority baseline 0.5000), macro-F1 0.9000"
    )
    assert "top-5 accuracy 0.9900" in describe_scores({"test": {**metrics, "top5_accuracy": 0.99}})[0]


def test_sizes_are_printed_and_what_was_dropped_with_an_example():
    data = SimpleNamespace(
        labels=["cat", "dog"],
        splits={"train": Dataset.from_dict({"label": [0] * 900 + [1] * 300}), "validation": [0] * 3},
        fingerprints={"train": "x", "validation": "y"},
        bad=[BadImage("train/cat/1.jpg", "cat", "train", "no such file")],
        notes=["something"],
        group_column="patient",
        shared_groups=[SharedGroups("validation", "train", 2, 1, 2, ["p7"])],
        overlaps=[
            Overlap(
                "validation", "train", 2, 0, [{"file": "a", "label": "cat", "other_file": "b", "other_label": "cat"}]
            )
        ],
    )
    lines = describe_data(data, "launch: alone")
    assert lines[0] == "launch: alone"
    assert lines[1] == "data: 2 classes; train 1,200, validation 3 images"
    assert lines[2] == "data: train: 300 (dog) to 900 (cat) images per class"
    assert "dropped 1 unreadable image, listed" in lines[3]
    assert "train/cat/1.jpg: no such file" in lines[3]
    assert lines[4] == "data: something"
    assert lines[5] == (
        "data: validation: 2 of 3 images are also in train, byte for byte (first: 'a' is 'b'); "
        "data.duplicates=drop_from_train takes them out of train"
    )
    assert lines[6] == (
        "data: validation: 2 of 3 images are of 1 of 2 groups (column 'patient') that is also in train (first: 'p7')"
    )
    assert describe_data(data, None, bad_in=None)[2].startswith("data: dropped 1 unreadable image (first")


def test_no_name_acts_on_the_terminal_or_widens_a_table(capsys):
    names = ["\x1b[2J\n", "x" * 5000]
    each = {"images": 3, "recall": 0.5, "precision": 0.5, "f1": 0.5, "predicted": dict.fromkeys(names, 2)}
    for line in describe_classes(dict.fromkeys(names, each)):
        say(line)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 200 for line in lines)


def test_versions_and_hardware_are_named():
    assert {"python", "torch", "transformers", "hf-imgcls"} <= package_versions().keys()
    assert describe_hardware(2).startswith("2 processes, ")
