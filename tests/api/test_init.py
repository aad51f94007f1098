"""A starting recipe for a folder: what it follows from, and that `check` and `train` take it."""

import json
from pathlib import Path

import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls.api import fit_stages, init
from hf_imgcls.cli import main
from hf_imgcls.training import PRESETS

pytestmark = pytest.mark.usefixtures("undrawn")
NAME = "우리 집 '사진' \"2\""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reasons(out: str) -> dict[str, str]:
    """The printed lines by their key, without it."""
    lines = (line.split(maxsplit=1) for line in out.splitlines())
    return {line[0]: line[1] for line in lines if len(line) > 1}


def test_it_checks_and_trains_as_it_stands(here, make_folder, capsys, monkeypatch):
    monkeypatch.setattr(fit_stages, "_FEWEST_IMAGES", 0)
    make_folder(12, name=NAME)
    (here / "runs" / NAME).mkdir(parents=True)
    tiny_model("vit").save_pretrained("net")
    tiny_processor().save_pretrained("net")
    assert main(["init", NAME, "--checkpoint", "net", "stages.1.training.num_train_epochs=1", "training.seed=1"]) == 0
    why, file = reasons(capsys.readouterr().out), f"{NAME}.json"
    recipe = json.loads(Path(file).read_text(encoding="utf-8"))
    assert list(recipe) == ["description", "data", "model", "stages", "training"]
    assert "우리 집" in Path(file).read_text(encoding="utf-8")
    assert recipe["data"] == {"path": NAME, "validation_fraction": 0.2, "duplicates": "drop_from_train"}
    assert recipe["training"]["output_dir"] == f"runs/{NAME}-2"
    assert "is there already" in why["training.output_dir"]
    assert why["model.checkpoint"].split() == ["net", "as", "given"]
    assert why["training.seed"].endswith("as given")
    assert "29 train, 7 validation images of 3 classes" in why["data.path"]
    assert recipe["stages"][0] == fit_stages.HEAD
    assert recipe["stages"][1]["training"].pop("num_train_epochs") == 1
    unlike = {key: value for key, value in fit_stages.ALL_WEIGHTS["training"].items() if key != "num_train_epochs"}
    assert recipe["stages"][1] == {**fit_stages.ALL_WEIGHTS, "training": unlike}
    assert main(["check", file]) == main(["train", file]) == 0
    assert json.loads((here / "runs" / f"{NAME}-2" / "results.json").read_text())["parity"]["passed"]


def test_every_value_has_a_reason_and_no_image_is_opened(here, capsys):
    for colour, count in (("blue", 50), ("red", 10)):
        for split in ("train", "validation"):
            (here / "photos" / split / colour).mkdir(parents=True)
            for number in range(count):
                (here / "photos" / split / colour / f"{number}.png").write_bytes(b"not opened")
    (here / "to").mkdir()
    (here / "to" / "recipe.schema.json").write_text("{}")
    recipe = init.write_recipe("photos", Path("to/mine.json"))
    out = capsys.readouterr().out
    assert json.loads((here / "to" / "mine.json").read_text()) == recipe
    assert recipe["$schema"] == "recipe.schema.json"
    assert "validation_fraction" not in recipe["data"]
    assert recipe["model"]["checkpoint"] == PRESETS["default"]["cpu"][0]
    assert "the Hub cannot be reached" in reasons(out)["model.checkpoint"]
    assert recipe["training"]["metric_for_best_model"] == "macro_f1"
    assert "50 'blue', 10 'red'" in reasons(out)["training.metric_for_best_model"]
    keys = [key for key, _ in init._values(recipe)]
    assert set(keys) <= reasons(out).keys()
    assert "stages.1.training.learning_rate" in keys
    assert not [key for key in keys if reasons(out)[key].endswith("as hf-imgcls fit has it")]


def test_few_images_of_a_class_train_a_head_alone(here, make_folder, capsys):
    make_folder(10)
    assert init.write_recipe("photos/")["stages"] == [fit_stages.HEAD]
    assert "24 images are few to train all weights on" in reasons(capsys.readouterr().out)["stages.0.train"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["photos"], "--recipe: photos.json exists already; name another file"),
        (["photos", "--recipe", "photos/x.json"], "--recipe: photos/x.json would lie in photos, and be taken for data"),
        (["no/such/folder"], "data.path: no such folder 'no/such/folder'"),
        (["a\0b"], "data.path: 'a\\x00b' is no path"),
        (["", "--recipe", "x.json"], "recipe: data.path: found"),
        (["photos", "--recipe", "-"], "--recipe: found '-', expected a file"),
        (["alone", "--recipe", "x.json"], "data: train has images of one class only, 'blue'; a classifier needs two"),
        (
            [
                "photos",
                "data.streaming=true",
                "data.duplicates=keep",
                "stages=[]",
                "training.max_steps=1",
                "--recipe",
                "x.json",
            ],
            "data.streaming: ",
        ),
        (["photos", "model.checkpont=x", "--recipe", "x.json"], "recipe: model.checkpont: unknown key"),
        (["photos", "--checkpoint", "", "--recipe", "x.json"], "recipe: model.checkpoint: found"),
        (["photos", "training.output_dir=photos/run", "--recipe", "x.json"], "training.output_dir: photos/run lies in"),
    ],
)
def test_what_it_cannot_write_is_one_line(words, line, here, make_folder, capsys):
    make_folder(4)
    make_folder(4, name="alone", classes=("blue",))
    Path("photos.json").write_text("mine")
    assert main(["init", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert line in error
    assert len(error) < 400
    assert Path("photos.json").read_text() == "mine"
    assert not Path("x.json").exists()
    assert not list(here.glob("photos/**/*.json"))


def test_a_folder_where_a_recipe_belongs_names_both_ways(here, make_folder, capsys):
    make_folder(1, name=NAME)
    (here / "tables").mkdir()
    (here / "tables" / "train.parquet").write_bytes(b"PAR1")
    for folder, shown in ((NAME, "'우리 집 '\"'\"'사진"), ("tables", "tables")):
        for command in ("train", "check", "describe"):
            assert main([command, folder]) == 2
            line = capsys.readouterr().err
            assert f"hf-imgcls fit {shown}" in line
            assert f"hf-imgcls init {shown}" in line
            assert line.count("\n") == 1
