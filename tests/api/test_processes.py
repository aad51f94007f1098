"""Launches: two gloo processes on a CPU, against one."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest
from launches import TORCHRUN, TWO, launch, launch_for_real
from local_hub import LocalHub
from pairs import Pairs
from safetensors.torch import load_file
from streamed import FOUR, write_parquet
from test_multi_label import make_pairs
from tiny import tiny_model, tiny_processor

from hf_imgcls import evaluate_classifier, train_classifier
from hf_imgcls.api import train
from hf_imgcls.errors import InputError
from hf_imgcls.machine.processes import check_launch, requested
from hf_imgcls.store import newest_whole, read_json
from hf_imgcls.training import stages

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def recipe(make_folder, tmp_path):
    """A recipe on images of odd numbers, from a small saved ViT."""
    checkpoint = tmp_path / "checkpoint"
    tiny_model("vit").save_pretrained(checkpoint)
    tiny_processor().save_pretrained(checkpoint)
    content = {
        "data": {"path": str(make_folder(train=7, validation=3, test=5))},
        "model": {"checkpoint": str(checkpoint)},
        "training": {
            "output_dir": str(tmp_path / "run"),
            "num_train_epochs": 1,
            "learning_rate": 0.0,
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 4,
        },
    }
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def several(recipe, tmp_path):
    """That recipe on images of several labels each."""
    content = json.loads(recipe.read_text())
    content["data"]["path"] = str(make_pairs(tmp_path / "pairs", train=21, validation=16, test=12))
    content["model"]["multi_label"] = True
    recipe.write_text(json.dumps(content))
    return recipe


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_two_processes_score_exactly_what_one_scores_and_one_of_them_pushes(recipe, tmp_path):
    with LocalHub(tmp_path / "hub") as hub:
        hub.fail("POST .*/commit/", 403)
        words = [str(recipe), f"training.output_dir={tmp_path / 'two'}", "training.push_to_hub=true"]
        words += ["rejection.by=distance"]
        two = launch(TWO, "tests/pushing.py", json.dumps(hub.environment()), "train", *words)
    assert two.returncode != 0
    assert two.stderr.count("hf-imgcls: push: ") == 1, two.stderr
    assert "hf-imgcls: push: 403 Forbidden" in two.stderr
    assert sum("/repos/create" in call for call in hub.calls) == 2  # before the first batch, and before the push
    assert sum("/commit/" in call for call in hub.calls) == 1
    train_classifier(recipe, [f"training.output_dir={tmp_path / 'one'}", "rejection.by=distance"])
    files = [sorted(p.name for p in (tmp_path / run).iterdir() if p.is_file()) for run in ("two", "one")]
    assert files[0] == files[1]
    two, one = results(tmp_path / "two"), results(tmp_path / "one")
    assert (two["processes"], one["processes"]) == (2, 1)
    assert two["training"]["steps"] == 3
    assert one["training"]["steps"] == 6
    assert two["scores"]["test"]["images"] == 15
    # Nothing was learned (learning rate 0): both scored the same weights, rows 15 and 9 over batches of 4.
    assert two["scores"] == one["scores"]
    assert two["rejection"] == one["rejection"]
    assert two["fingerprints"] == one["fingerprints"]
    assert two["parity"]["passed"]


def test_a_real_launch_starts_the_script_in_each_process_and_a_mistake_is_said_once(recipe):
    """All other launches are forks of a process that has imported everything."""
    both = launch_for_real(TORCHRUN, "hf_imgcls/train.py", str(recipe), "training.learning_rat=1")
    assert both.returncode != 0
    line = f'hf-imgcls: {recipe}: training.learning_rat: unknown key; did you mean "learning_rate"?\n'
    assert both.stderr.count(line) == 1, both.stderr
    assert all(f"(local_rank: {rank})" in both.stderr for rank in (0, 1))


def test_two_processes_make_the_steps_of_one_batch_and_of_accumulated_ones(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "Mixing", Pairs)  # as the launched script does
    common = ["training.learning_rate=5e-3", "training.optim=sgd", "model.config.hidden_dropout_prob=0.0",
              "data.max_samples.train=16", "training.num_train_epochs=2", 'augmentation.mix=["MixUp"]',
              "training.label_smoothing_factor=0.1", 'loss.class_weights={"red": 3}',
              "averaging.ema_decay=0.05", "optimizer.layer_decay=0.7", "loss.logit_adjustment=0.5",
              "sampling.balance=0.7"]  # fmt: skip
    folders = {name: tmp_path / name for name in ("two of 8", "one of 16", "4 of 4")}
    words = {name: [*common, f"training.output_dir={folder}"] for name, folder in folders.items()}
    two = launch(
        TWO, "tests/pairs.py", "train", str(recipe), *words["two of 8"], "training.per_device_train_batch_size=8"
    )
    assert two.returncode == 0, two.stderr
    train_classifier(recipe, [*words["one of 16"], "training.per_device_train_batch_size=16"])
    train_classifier(recipe, [*words["4 of 4"], "training.gradient_accumulation_steps=4"])
    assert [results(folder)["training"]["steps"] for folder in folders.values()] == [2, 2, 2]
    after, trained = (
        {name: load_file(folder / file) for name, folder in folders.items()}
        for file in ("model.safetensors", "checkpoint-2/raw_weights.safetensors")
    )
    before = load_file(tmp_path / "checkpoint" / "model.safetensors")
    one = after["one of 16"]
    for name in ("two of 8", "4 of 4"):
        assert max((after[name][key] - one[key]).abs().max() for key in one) < 1e-7
        of_one = trained["one of 16"]
        assert max((trained[name][key] - of_one[key]).abs().max() for key in of_one) < 1e-7
    assert max((one[key] - before[key]).abs().max() for key in one) > 1e-4
    (folders["two of 8"] / "results.json").unlink()
    with pytest.raises(InputError, match=r"begun with processes 2, now 1; images per step 16, now 8, "):
        train_classifier(recipe, [*words["two of 8"], "training.per_device_train_batch_size=8"])


def test_two_processes_go_through_stages_and_features_as_one_does(recipe, tmp_path):
    teacher = str(tmp_path / "checkpoint")
    stages = [
        {"train": "head", "cache_features": True, "training": {"learning_rate": 5e-2}},
        {"train": {"last_blocks": 1}, "training": {"learning_rate": 5e-3}, "distillation": {"teacher": teacher}},
        {"train": {"lora": {"rank": 2, "alpha": 20}}, "training": {"learning_rate": 5e-1}},
    ]
    common = ["training.optim=sgd", "model.config.hidden_dropout_prob=0.0", "data.max_samples.train=16",
              f"stages={json.dumps(stages)}"]  # fmt: skip
    folders = [f"training.output_dir={tmp_path / name}" for name in ("two", "one")]
    two = launch(TORCHRUN, "hf_imgcls/train.py", str(recipe), *common, folders[0], "--seeds", "3")
    assert two.returncode == 0, two.stderr
    train_classifier(recipe, [*common, "training.per_device_train_batch_size=8", "training.seed=3", folders[1]])
    summary = json.loads((tmp_path / "two" / "seeds.json").read_text())
    assert summary["scores"]["test"]["loss"]["seeds"] == [results(tmp_path / "two/seed-3")["scores"]["test"]["loss"]]
    assert two.stdout.count("seeds: one run, seed 3") == 1
    assert results(tmp_path / "two/seed-3")["processes"] == 2  # of plain torchrun, on a machine without a GPU
    assert [stage["steps"] for stage in results(tmp_path / "two/seed-3")["stages"]] == [2, 2, 2]
    checkpoint = tmp_path / "two/seed-3" / "stage-3" / "checkpoint-2"
    assert newest_whole(checkpoint.parent) == (checkpoint, [])
    of_each = {"progress-0.json", "progress-1.json", "rng_state_0.pth", "rng_state_1.pth"}
    assert of_each < read_json(checkpoint / "manifest.json").keys()
    for name in ("stage-1", "stage-2", ""):
        after = [load_file(tmp_path / run / name / "model.safetensors") for run in ("two/seed-3", "one")]
        assert max((after[0][key] - after[1][key]).abs().max() for key in after[0]) < 1e-6
    histories = [json.loads((tmp_path / run / "history.json").read_text()) for run in ("two/seed-3", "one")]
    accuracies = [[e["train_accuracy"] for e in history if "loss" in e] for history in histories]
    assert len(accuracies[0]) == 3
    assert accuracies[0] == accuracies[1]
    assert results(tmp_path / "two/seed-3")["parity"]["passed"]


SINGLE = ["accelerate", "launch", "--cpu", "--num_processes", "2", "--no_python"]


def test_a_launch_that_starts_one_process_where_two_were_asked_for_says_so(tmp_path, monkeypatch):
    """accelerate starts one and tells it nothing of the other: the number is in its own command line alone."""
    alone = launch(SINGLE, "env")
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.count("ACCELERATE_MIXED_PRECISION=no\n") == 1
    assert "WORLD_SIZE=" not in alone.stdout
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    (tmp_path / "accelerate").write_text("echo started; read line")
    command = ["sh", str(tmp_path / "accelerate"), *SINGLE[1:], "env"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        launcher.stdout.readline()  # Popen returns before the kernel shows the command line of the new program
        monkeypatch.setattr(psutil.Process, "parents", lambda process: [psutil.Process(launcher.pid)])
        requested.cache_clear()
        said = check_launch()
        launcher.stdin.close()
    requested.cache_clear()
    assert said.startswith("launch: 2 processes were asked for, but this is a single one; on a CPU use ")
    assert "two_cpu_processes.yaml" in said


def test_a_training_says_what_is_wrong_with_its_launch(recipe, monkeypatch, capsys):
    monkeypatch.setattr(train.machine, "check_launch", lambda: "launch: 2 processes were asked for")
    train_classifier(recipe, ["training.max_steps=1"])
    assert "launch: 2 processes were asked for\n" in capsys.readouterr().out


FAILURES = {  # one an attempt, and what is printed once
    "1:end:1:input": "hf-imgcls: data.path: what process 1 alone has found\n",
    "-:launch:-:-": "hf-imgcls: launch: 2 processes were started, but they do not train together",
    "0:data:1:input": "hf-imgcls: data.path: what process 0 alone has found\n",
    "1:step:7:killed": "process 1 terminated with signal SIGKILL",
    "0:step:4:bug": "[rank0]: ZeroDivisionError: what no one expected\n",
    "0:results:1:disk": "hf-imgcls: /results: the disk is full",
}


def test_plain_torchrun_trains_together_and_resumes_a_stream(recipe, tmp_path):
    folder = tmp_path / "stream"
    (folder / "four").mkdir(parents=True)
    write_parquet(folder, bad=[1])
    write_parquet(folder / "four", bad=[1], shards=FOUR | {"validation-0": range(100, 105)})
    both = launch(TORCHRUN, "tests/streamed.py", str(recipe), str(folder))
    assert both.returncode == 0, both.stderr
    assert results(tmp_path / "run")["processes"] == 2
    report = json.loads((folder / "report.json").read_text())
    assert report["same"] == [True, True]
    # 13 images in steps of 6: in the third, of one image, both processes have one, the second one of the first step.
    steps = [[tuple(image) for process in step for image in process] for step in zip(*report["seen"], strict=True)]
    assert [len(step) for step in steps] == [6, 6, 2, 6]
    once = [image for step in steps[:3] for image in step]
    assert len(set(once)) == 13
    assert steps[2][1] == steps[0][0]
    assert report["labels"] == [n % 3 for n in range(100, 105)]
    assert report["sample"] == list(range(5))
    # Each process reads two of the four files; the pass ends with the first that has no more, and the fourth step is of
    # the next pass.
    assert report["divided"]["same"] == [True, True]
    passes = [{image for step in process[:3] for _, image in step} for process in report["divided"]["seen"]]
    assert not passes[0] & passes[1]
    assert [sum(map(len, process[:3])) for process in report["divided"]["seen"]] == list(map(len, passes))
    assert sum(map(len, passes)) >= 16
    assert {pass_ for process in report["divided"]["seen"] for pass_, _ in process[3]} == {1}
    assert "each of 2 processes reads 2 of 4 files of train" in both.stdout
    assert "the first process reads for all 2, among which 3 files cannot be divided evenly" in both.stdout


def test_a_signal_to_one_process_of_two_ends_both_after_the_same_step_which_one_makes_too(several, tmp_path):
    words = ["training.learning_rate=5e-2", "training.optim=sgd", "training.lr_scheduler_type=constant",
             "model.config.hidden_dropout_prob=0.0", "loss.asymmetric={}", "training.save_strategy=no"]  # fmt: skip
    both = launch(TORCHRUN, "tests/signalled.py", "train", str(several), *words)
    assert both.returncode != 0
    lines = [line for line in both.stderr.splitlines() if line.startswith("hf-imgcls: ")]
    assert lines == [f"hf-imgcls: interrupted at step 2; saved {tmp_path}/run/checkpoint-2; the same command resumes"]
    assert {file.name for file in (tmp_path / "run" / "checkpoint-2").glob("progress-*")} == {
        "progress-0.json",
        "progress-1.json",
    }
    words += ["training.max_steps=2", "training.per_device_train_batch_size=8"]
    train_classifier(several, [*words, f"training.output_dir={tmp_path / 'one'}"])
    files = ("checkpoint/model.safetensors", "one/model.safetensors", "run/checkpoint-2/model.safetensors")
    before, one, two = (load_file(tmp_path / file) for file in files)
    assert max((two[key] - one[key]).abs().max() for key in one) < 1e-7
    assert max((one[key] - before[key]).abs().max() for key in one if before[key].shape == one[key].shape) > 1e-4


def test_what_fails_in_one_process_ends_both_and_the_next_attempt_resumes(several, tmp_path):
    """One launch, which is started anew after each failure: first a whole run, then another one in pieces."""
    words = ["training.learning_rate=1e-2", "model.config.hidden_dropout_prob=0.2", "training.num_train_epochs=3",
             "training.logging_steps=1", f"training.output_dir={tmp_path / 'whole'}"]  # fmt: skip
    launched = launch(
        [*TORCHRUN, "--max_restarts", str(len(FAILURES))], "tests/failing.py", "train", str(several), *words,
        FAILING=",".join(FAILURES), RUN=str(tmp_path / "pieces"),
        TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1",  # else a new attempt may read the addresses of the one before
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr
    assert {line: launched.stderr.count(line) for line in FAILURES.values()} == dict.fromkeys(FAILURES.values(), 1)
    assert launched.stderr.count("hf-imgcls: ") == 5  # one of them of the process that the killed one left behind
    assert launched.stdout.count("resuming from") == 3
    weights = [load_file(tmp_path / run / "model.safetensors") for run in ("whole", "pieces")]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    whole, pieces = (history(tmp_path / run) for run in ("whole", "pieces"))
    assert pieces == whole
    two = results(tmp_path / "whole")
    assert two["thresholds"] == results(tmp_path / "pieces")["thresholds"]
    one = evaluate_classifier(tmp_path / "whole", tmp_path / "pairs", "validation", set_thresholds=True)
    assert one["scores"] == two["scores"]["validation"]
    assert {name: each["threshold"] for name, each in one["breakdown"]["classes"].items()} == two["thresholds"]


def history(folder: Path) -> list[dict]:
    """Without what a clock has measured."""
    entries = json.loads((folder / "history.json").read_text())
    timed = ("runtime", "per_second", "time")
    return [{key: value for key, value in entry.items() if not key.endswith(timed)} for entry in entries]


def test_nothing_is_asked_for_without_a_launcher(monkeypatch):
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    assert requested("num_processes") is None
