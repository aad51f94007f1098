"""`hf-imgcls runs`: states, groups, differences, order, files; what is damaged or foreign is a line."""

import json
import math
import os
import platform
import time
from pathlib import Path

import psutil
import pytest
from listed_run import made_run

from hf_imgcls.cli import main
from hf_imgcls.commands.run_table import columns
from hf_imgcls.store import FailureKept


def of(folder: Path) -> dict[str, dict]:
    """The listing as JSON, by the name of each run."""
    assert main(["runs", str(folder), "--json", str(folder.parent / "listing.json")]) == 0
    listing = json.loads((folder.parent / "listing.json").read_text())
    return {Path(row["run"]).name: row for row in listing["runs"]} | {"others": listing["others"]}


def test_states_and_what_differs(tmp_path, capsys):
    runs = tmp_path / "runs"
    made_run(runs / "비교" / "하나", learning_rate=1e-3)
    made_run(runs / "b", learning_rate=1e-4, weight_decay=0.1)
    for name, facts in {
        "running": {"pid": os.getpid(), "host": platform.node()},
        "elsewhere": {"pid": 1, "host": "node7"},
        "killed": {"pid": 2**22 + 1, "host": platform.node()},
    }.items():
        made_run(runs / name, results=False)
        (runs / name / ".lock").write_text(json.dumps({**facts, "since": time.strftime("%Y-%m-%d %H:%M:%S")}))
    made_run(runs / "stale", results=False)  # another process has the number of the one that was killed
    began = time.localtime(psutil.Process().create_time() - 5)
    lock = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S", began)}
    (runs / "stale" / ".lock").write_text(json.dumps(lock))
    made_run(runs / "diverged", results=False)
    with pytest.raises(ZeroDivisionError), FailureKept(runs / "diverged"):
        raise ZeroDivisionError("loss is NaN\nat step 7")
    with pytest.raises(KeyboardInterrupt), FailureKept(runs / "killed"):
        raise KeyboardInterrupt
    made_run(runs / "wrong")
    results = json.loads((runs / "wrong" / "results.json").read_text())
    (runs / "wrong" / "results.json").write_text(json.dumps({**results, "parity": {"passed": False}}))
    (runs / "early").mkdir()
    (runs / "early" / "begun.json").write_text("{}")
    found = of(runs)
    assert {name: row["state"] for name, row in found.items() if name != "others"} == {
        "하나": "finished", "b": "finished", "running": "running", "elsewhere": "running", "killed": "interrupted",
        "stale": "interrupted", "diverged": "failed", "wrong": "failed", "early": "interrupted",
    }  # fmt: skip
    assert found["diverged"]["reason"] == "ZeroDivisionError: loss is NaN at step 7"
    assert found["elsewhere"]["reason"] == "process 1 on node7, if that has not ended"
    assert found["하나"]["differs"]["training.learning_rate"] == 1e-3
    assert found["b"]["differs"]["training.weight_decay"] == 0.1
    assert "training.output_dir" not in found["b"]["differs"]
    assert (found["b"]["model"], found["b"]["data"], found["b"]["seconds"]) == ("org/vit", "사진", 61.0)
    assert main(["runs", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    starts = {columns(line[: line.index(" finished ")]) for line in lines if " finished " in line}
    assert len(starts) == 1, "names in Korean move the columns"
    assert any(line.endswith("training.learning_rate=0.0001; training.weight_decay=0.1") for line in lines)
    with FailureKept(runs / "diverged"):
        pass
    assert of(runs)["diverged"]["state"] == "interrupted"


def test_seeds_folds_and_networks_are_groups(tmp_path, capsys):
    runs = tmp_path / "runs"
    for seed in (1, 10, 2):
        made_run(runs / "s" / f"seed-{seed}", seed=seed)
    spread = {"mean": 0.8, "std": 0.01, "seeds": [0.79, 0.8, 0.81]}
    summary = {"scores": {"test": {"accuracy": spread}}, "recipe": {"model": {"checkpoint": "x"}}}
    (runs / "s" / "seeds.json").write_text(json.dumps(summary))
    made_run(runs / "s" / "seed-1-average")
    made_run(runs / "f" / "fold-1")
    made_run(runs / "f" / "fold-2", results=False)
    for number in (1, 2):
        made_run(runs / "ens" / f"network-{number}", results=number == 1)
    made_run(runs / "ens" / "checkpoint-3")  # is none
    (runs / "ens" / "recipe.json").write_text((runs / "ens" / "network-1" / "recipe.json").read_text())
    found = of(runs)
    assert list(found) == ["ens", "f", "s", "seed-1-average", "others"]
    assert found["others"] == []
    assert [(row["kind"], row["state"]) for row in found["ens"]["members"]] == [
        ("network", "finished"), ("network", "interrupted"),
    ]  # fmt: skip
    assert (found["f"]["kind"], found["f"]["state"], found["f"]["reason"]) == ("folds", "interrupted", "fold-2")
    assert (found["s"]["state"], found["s"]["scores"], found["s"]["std"]) == (
        "finished", {"test": {"accuracy": 0.8}}, {"test": {"accuracy": 0.01}},
    )  # fmt: skip
    assert found["s"]["seconds"] == 183.0
    assert [Path(row["run"]).name for row in found["s"]["members"]] == ["seed-1", "seed-2", "seed-10"]
    assert found["s"]["members"][2]["differs"] == {"training.seed": 10}
    assert main(["runs", str(runs)]) == 0
    text = capsys.readouterr().out
    assert "finished (3 seeds)" in text
    (runs / "s" / "seeds.json").write_text(json.dumps({**summary, "runs": ["seed-1"]}))
    assert main(["runs", str(runs)]) == 0
    assert "finished (1 of 3 seeds)" in capsys.readouterr().out
    assert "0.8000 ± 0.0100" in text
    with FailureKept(runs / "f" / "fold-2"):
        (runs / "f" / "fold-2" / "failed.json").write_text('{"error": "no room"}')
    assert of(runs)["f"]["reason"] == "fold-2: no room"


def test_damaged_and_foreign_folders_are_lines(tmp_path, capsys):
    runs = tmp_path / "runs"
    made_run(runs / "good")
    damaged = {
        "cut/recipe.json": '{"a": ', "bytes/recipe.json": b"\xff\xfe\x00", "list/results.json": "[1]",
        "empty/results.json": "", "number/results.json": '{"scores": 3}', "deep/recipe.json": "[" * 10**5,
    }  # fmt: skip
    for name, content in damaged.items():
        (runs / name).parent.mkdir()
        (runs / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    odd = {
        "scores": {"test": {"accuracy": "high", "loss": [1], "own": True}, "validation": 3}, "time": {"run": math.inf},
        "training": None, "average": {"models": 3}, "parity": "no",
    }  # fmt: skip
    made_run(runs / "odd")
    (runs / "odd" / "results.json").write_text(json.dumps(odd))
    (runs / "odd" / "recipe.json").write_text(
        '{"model": ["x"], "data": {"path": 3}, "ensemble": {"networks": [3]}, "x": ' + "[" * 900 + "]" * 900 + "}"
    )
    (runs / "scores").mkdir()
    (runs / "scores" / "results.json").write_text('{"model": "m", "data": "d", "split": "test", "scores": {}}')
    (runs / "x-tune").mkdir()
    (runs / "x-tune" / "search.json").write_text("{}")
    (runs / "notes" / "deep").mkdir(parents=True)
    (runs / "notes" / "deep" / "a.txt").touch()
    os.mkfifo(runs / "good" / "failed.json")
    made_run(runs / "pipe", results=False)
    os.mkfifo(runs / "pipe" / "results.json")
    os.symlink(".", runs / "loop")
    os.symlink("self", runs / "self")
    found = of(runs)
    states = {name: row["state"] for name, row in found.items() if name != "others"}
    assert states == {
        **{name.partition("/")[0]: "damaged" for name in damaged},
        "pipe": "damaged",
        "good": "finished",
        "odd": "finished",
    }
    assert (found["odd"]["model"], found["odd"]["data"], found["odd"]["scores"]) == ("", "", {})
    assert found["others"] == [
        f"{runs / 'scores'}: is an evaluation, not a run",
        f"{runs / 'x-tune'}: is a search (hf-imgcls tune), not a run",
        f"not runs: {runs / 'notes'}",
    ]
    capsys.readouterr()
    assert main(["runs", str(runs)]) == 0
    said = capsys.readouterr()
    assert "recipe.json is damaged" in said.out
    assert said.err.splitlines() == found["others"]
    assert main(["runs", str(runs / "notes")]) == 0
    assert capsys.readouterr().err == f"not runs: {runs / 'notes'}\n{runs / 'notes'}: no runs\n"
    for words in (["no folder"], [str(runs / "good" / "recipe.json")]):
        assert main(["runs", *words]) == 2
        assert capsys.readouterr().err.startswith("hf-imgcls: runs: ")
