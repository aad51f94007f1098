"""A cross-validation: a run for each fold, and what is said of all of them."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls import load_data, load_recipe, predict_images, train_classifier
from hf_imgcls.api import train
from hf_imgcls.api.fit import fit_folder
from hf_imgcls.errors import InputError
from hf_imgcls.publishing import push_saved
from hf_imgcls.training import features, solved_head

HEAD = {"train": "head", "cache_features": True, "logistic_regression": True, "refit": True}


@pytest.fixture
def recipe(make_folder, tmp_path) -> dict:
    tiny_model("vit").save_pretrained(tmp_path / "vit")
    tiny_processor().save_pretrained(tmp_path / "vit")
    root = make_folder(train=4, test=1)
    names = [file.relative_to(root).as_posix() for file in root.glob("*/*/*.png")]
    rows = [f"{name},{name[:5]}{int(name[-5]) // 2}" for name in names]  # two patients in train
    (root / "metadata.csv").write_text("\n".join(["file_name,patient", *rows]))
    return {
        "data": {"path": str(root), "folds": 2, "group_column": "patient"},
        "model": {"checkpoint": str(tmp_path / "vit")},
        "stages": [HEAD],
        "training": {"output_dir": str(tmp_path / "runs")},
    }


def test_a_run_for_each_fold_resumed_answered_and_described(recipe, tmp_path, monkeypatch, capsys, undrawn):
    computed, real = [], features.extract_features
    monkeypatch.setattr(features, "extract_features", lambda *a: computed.append(len(a[2])) or real(*a))
    grouped, solve = [], solved_head.solve
    monkeypatch.setattr(solved_head, "solve", lambda *a: grouped.append({*a[0].groups}) or solve(*a))
    scored, real_scores = [], train.score_run

    def stops(*arguments):
        scored.append(1)
        if len(scored) == 2:
            raise KeyboardInterrupt
        return real_scores(*arguments)

    monkeypatch.setattr(train, "score_run", stops)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(recipe)
    assert not (tmp_path / "runs" / "folds.json").exists()
    first = (tmp_path / "runs" / "fold-1" / "results.json").read_bytes()
    found = train_classifier(recipe)
    assert (tmp_path / "runs" / "fold-1" / "results.json").read_bytes() == first
    assert len(scored) == 3
    assert computed == [12], "features of each fold were computed by themselves"
    assert sorted(map(list, grouped[:2])) == [["train0"], ["train1"]], "groups do not reach the folds of the penalty"
    text = capsys.readouterr().out
    assert "fold 2 of 2: " in text
    assert text.count("refit: left out, it would train every fold on the images of all folds") == 2
    lines = text.splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("fold  "))) :]
    assert re.split("  +", table[0])[1:] == [
        "images", "accuracy", "macro-F1", "loss", "test accuracy", "test macro-F1", "test loss"
    ]  # fmt: skip
    assert [line.split()[0] for line in table[1:5]] == ["1", "2", "mean", "deviation"]
    assert table[5].startswith("out of fold: accuracy ")
    assert found == json.loads((tmp_path / "runs" / "folds.json").read_text())
    assert (found["images"], found["runs"]) == ([6, 6], ["fold-1", "fold-2"])
    assert found["out_of_fold"]["images"] == 12
    assert set(found["scores"]) == {"validation", "test"}
    rows = pq.read_table(tmp_path / "runs/folds.parquet").to_pydict()
    assert (len({*rows["file"]}), {*rows["split"]}) == (12, {"validation"})
    assert rows["run"] == ["fold-1"] * 6 + ["fold-2"] * 6
    right = [label == given for label, given in zip(rows["label"], rows["prediction"], strict=True)]
    assert np.mean(right) == pytest.approx(found["out_of_fold"]["accuracy"], abs=1e-6)
    again = train_classifier(recipe)
    assert (again, len(scored), computed) == (found, 3, [12])
    own = json.loads((tmp_path / "runs" / "fold-2" / "recipe.json").read_text())
    assert own["data"]["fold"] == 2
    two = json.loads((tmp_path / "runs" / "fold-2" / "results.json").read_text())
    assert load_data(load_recipe(own).data).fingerprints == two["fingerprints"]


@pytest.fixture
def folds(tmp_path):
    """What a cross-validation that was interrupted leaves."""
    (tmp_path / "runs" / "fold-1").mkdir(parents=True)
    (tmp_path / "runs" / "fold-1" / "recipe.json").write_text("{}")
    return tmp_path / "runs"


def test_a_cross_validation_is_no_model(folds, recipe):
    line = r"is a cross-validation, not a model; name the run of a fold \(.*fold-1\)"
    with pytest.raises(InputError, match=line):
        predict_images(str(folds), [recipe["data"]["path"]])
    with pytest.raises(InputError, match=line):
        push_saved(folds)
    with pytest.raises(InputError, match="holds the folds of a cross-validation; name another folder"):
        train_classifier(recipe, ["data.folds=null"])


def test_other_folders_are_refused_and_nothing_is_left(recipe, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.txt").touch()
    with pytest.raises(InputError, match="holds files that are not of folds"):
        train_classifier(recipe)
    (tmp_path / "runs" / "mine.txt").rename(tmp_path / "runs" / "recipe.json")
    with pytest.raises(InputError, match="is the folder of a run; name another one for the folds"):
        train_classifier(recipe)
    with pytest.raises(InputError, match="30 folds, but the 2 groups of train fill only 2"):
        train_classifier(recipe, [f"training.output_dir={tmp_path / 'new'}", "data.folds=30"])
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match=r"photos.metadata\.csv is a file"):
        train_classifier(recipe, [f"training.output_dir={tmp_path / 'photos' / 'metadata.csv'}", "data.path=other/set"])
    with pytest.raises(InputError, match=r"data.folds: fit chooses with one split"):
        fit_folder(recipe["data"]["path"], overrides=["data.folds=2"])
