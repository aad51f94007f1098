"""Each command that writes is refused, before it reads anything, while another process writes the same place."""

import json
import os
from pathlib import Path

import pytest

from hf_imgcls.api import evaluate
from hf_imgcls.api.evaluation import check_output, save_evaluation
from hf_imgcls.cli import main
from hf_imgcls.store import Lock, lock_beside, lock_run, write_json


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run that another process writes, in the working directory, beside its recipe."""
    monkeypatch.chdir(tmp_path)
    for name in ("train/red", "train/blue"):
        Path("photos", name).mkdir(parents=True)
    recipe = {
        "data": {"path": "photos"},
        "model": {"architecture": "convnet", "from_scratch": True, "image_size": 128},
        "training": {"output_dir": "run"},
    }
    write_json(Path("recipe.json"), recipe)
    Path("run").mkdir()
    write_json(Path("run", "recipe.json"), recipe)
    write_json(Path("run", "results.json"), {"labels": ["red"], "parity": None})
    with Lock() as lock:
        lock_run(Path("run"), lock)
        yield Path("run")


COMMANDS = [
    (["train", "recipe.json", "--start-over"], "training.output_dir: run is being written"),
    (["push", "run"], "push: run is being written"),
]


@pytest.mark.parametrize(("words", "line"), COMMANDS, ids=lambda words: words[0])
def test_a_run_that_is_being_written_is_refused_in_one_line(words, line, run, capsys):
    before = sorted(path.name for path in run.iterdir())
    assert main(words) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"hf-imgcls: {line} by process {os.getpid()} (")
    assert said.endswith("wait until that has ended, or name another folder")
    assert sorted(path.name for path in run.iterdir()) == before
    assert not Path("run.1").exists()


def test_an_output_of_predict_that_is_being_written_is_refused_under_any_name(tmp_path, capsys):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with Lock() as lock:
        lock.take(lock_beside(tmp_path / "rows.csv"), "", "")
        for place in (tmp_path, tmp_path / "link"):
            assert main(["predict", "no/model", "no.jpg", "--output", str(place / "rows.csv")]) == 2
            (said,) = capsys.readouterr().err.splitlines()
            assert f"--output: {place}/rows.csv is being written by process {os.getpid()} (" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link"]


@pytest.mark.parametrize("name", ["scores.json", "scores"])
def test_two_evaluations_are_written_one_after_the_other(name, tmp_path, monkeypatch):
    place, waited = tmp_path / name, []
    wait_for = Lock.wait_for
    for written in ("draw_classes", "write_report"):
        monkeypatch.setattr(evaluate.reports, written, lambda *words: None)
    monkeypatch.setattr(Lock, "wait_for", lambda self, *words: (waited.append(words), wait_for(self, *words)))
    result = {"model": "m", "data": "d", "split": "test", "scores": {}, "bad_images": [], "breakdown": {"classes": {}}}
    (place if name == "scores" else tmp_path).mkdir(exist_ok=True)
    (tmp_path / "scores" / ".lock").touch() if name == "scores" else None  # of one that was killed
    check_output(place)
    save_evaluation(result, place, None)
    assert waited == [(place / ".lock" if name == "scores" else tmp_path / ".scores.json.lock", f"--output: {place}")]
    written = place if name == "scores.json" else place / "results.json"
    assert json.loads(written.read_text())["split"] == "test"
    assert [path.name for path in tmp_path.rglob("*.lock")] == []
