"""Scoring a saved model: which split and why, what the model has seen, what is written."""

import csv
import json
import shutil

import pytest
from launches import TWO, launch
from tiny import tiny_model, tiny_processor

from hf_imgcls import InputError, evaluate_classifier, explain_images, load_data
from hf_imgcls.api.evaluation import check_output
from hf_imgcls.cli import main
from hf_imgcls.data.duplicates import save_digests
from hf_imgcls.recipe.sections import DataSection
from hf_imgcls.store import write_json


@pytest.fixture
def photos(make_folder):
    """The first two of four test images of each class are in train too."""
    root = make_folder(train=4, validation=2, test=2)
    for file in list((root / "train").glob("*/00[01].png")):
        shutil.copy(file, root / "test" / file.parent.name / f"copy_{file.name}")
    return root


@pytest.fixture
def model(photos, tmp_path):
    """A model beside what a run on these photos leaves."""
    folder = tmp_path / "run"
    tiny_model("convnet").save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    data = load_data(DataSection(path=str(photos)))
    write_json(folder / "splits.json", data.describe_splits())
    save_digests(folder / "digests.npz", data.digests)
    return folder


def test_what_the_model_was_trained_on_is_counted(model, photos, capsys):
    result = evaluate_classifier(model, photos)
    assert result["notes"][1:] == [
        "scored split: test (by default, since none was named; the data has test, train, validation)"
    ]
    (seen,) = result["duplicates"]
    assert (seen["split"], seen["other"], seen["images"]) == ("test", "the model's train split", 6)
    assert seen["without"]["images"] == 6
    lines = capsys.readouterr().out.splitlines()
    score = next(n for n, line in enumerate(lines) if line.startswith("test: accuracy"))
    assert lines[score + 1].startswith(
        "test: 6 of 12 images are also in the model's train split, byte for byte; accuracy "
    )
    assert lines[2] == f"data: {result['notes'][1]}"
    assert [line.split()[:2] for line in lines[-3:]] == [["blue", "4"], ["green", "4"], ["red", "4"]]


def test_it_is_counted_for_checkpoints_other_folders_and_parts(model, photos):
    shutil.copytree(photos / "train", photos.parent / "elsewhere")
    inside = model / "stage-1" / "checkpoint-3"
    tiny_model("convnet").save_pretrained(inside)
    tiny_processor().save_pretrained(inside)
    result = evaluate_classifier(inside, photos.parent / "elsewhere", "train[:5]")
    assert result["cautions"][0] == (
        "all 5 images are also in the model's train split, byte for byte: the accuracy says nothing about new images"
    )
    assert result["notes"][1:] == ["scored split: train[:5] (named)"]
    cautions = evaluate_classifier(model, photos, "validation")["cautions"]
    assert cautions[0] == "all 6 images are also in the model's validation split, byte for byte"


def test_without_digests_the_fingerprint_of_a_whole_split_tells(model, photos):
    (model / "digests.npz").unlink()
    assert "says nothing about new images" in evaluate_classifier(model, photos, "train")["cautions"][0]
    assert evaluate_classifier(model, photos, "test")["duplicates"] == []


@pytest.mark.parametrize("file", ["splits.json", "digests.npz"])
@pytest.mark.parametrize("content", ["", "[1]", '{"fingerprints": 3}'])
def test_a_damaged_record_is_said(file, content, model, photos):
    (model / file).write_text(content)
    cautions = evaluate_classifier(model, photos)["cautions"]
    expected = "images were trained on is not known" if (file, content[:2]) != ("splits.json", '{"') else "the model's"
    assert any(expected in caution for caution in cautions)


def test_a_folder_gets_the_files_of_a_run(model, photos, tmp_path, capsys):
    (photos / "test/red/broken.png").write_bytes(b"broken")
    scores = tmp_path / "scores"
    for split in ("train", "test"):  # an earlier evaluation is replaced
        words = ["evaluate", str(model), str(photos), "--split", split, "--output", str(scores)]
        assert main(words) == 0
    assert "data: dropped 1 unreadable image (first: test/red/broken.png" in capsys.readouterr().out
    assert sorted(f.relative_to(scores).as_posix() for f in scores.rglob("*") if f.is_file()) == [
        "bad_images.csv", "plots/confusion_matrix.png", "report/predictions.parquet", "report/report.html",
        "report/report.json", "report/splits.parquet", "results.json",
    ]  # fmt: skip
    result = json.loads((scores / "results.json").read_text())
    assert (result["split"], result["scores"]["images"]) == ("test", 12)
    assert sum(each["images"] for each in result["breakdown"]["classes"].values()) == 12
    assert [row["file"] for row in csv.DictReader((scores / "bad_images.csv").open())] == ["test/red/broken.png"]
    shown = json.loads((scores / "report/report.json").read_text())["splits"]["test"]["map"]
    assert (shown["images"], shown["of"], shown["rows"]) == (12, 12, list(range(12)))
    page = (scores / "report/report.html").read_text()
    assert 'aria-label="Map of 12 test images' in page
    assert "No maps: maps need grad-cam" in page


def test_only_an_evaluation_is_replaced(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/results.json").write_text('{"scores": {}, "labels": []}')
    (tmp_path / "notes.json").write_text("mine")
    (tmp_path / "empty").mkdir()
    for place in ("run", "run/results.json", "notes.json"):
        with pytest.raises(InputError, match=f"--output: .*{place} is there, and not of an evaluation"):
            check_output(tmp_path / place)
    with pytest.raises(InputError, match="there is no folder"):
        check_output(tmp_path / "no/x.json")
    for place in ("new.json", "new", "empty"):
        check_output(tmp_path / place)


@pytest.mark.parametrize("place", ["scores", "red/scores.json"])
def test_it_is_not_written_where_it_would_be_trained_on(place, make_folder):
    photos = make_folder(1)
    with pytest.raises(InputError, match=rf"--output: .*/{place} would lie in .*/photos, and be taken for data"):
        evaluate_classifier("no model", photos, output=photos / place)


def test_neither_is_it_nor_are_maps_written_among_the_images_of_the_run(explaining, make_folder, tmp_path, monkeypatch):
    photos, others = make_folder(1), make_folder(1, name="others")
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "recipe.json", {"data": {"path": "photos"}})
    monkeypatch.chdir(tmp_path)
    inside = tmp_path / "run" / "checkpoint-3"
    inside.mkdir()
    for model in (tmp_path / "run", inside):
        with pytest.raises(InputError, match=r"--output: .*/photos/e would lie in photos, and be taken for data"):
            evaluate_classifier(model, others, output=photos / "e")
        with pytest.raises(InputError, match=r"--output: .*/photos/e would lie in photos, and be taken for data"):
            explain_images(str(model), [str(photos / "red")], photos / "e")


@pytest.mark.parametrize("override", ["train_split=train", "duplicates=drop_from_train", "validation_fraction=0.5"])
def test_keys_of_a_training_are_refused(override):
    with pytest.raises(InputError, match=rf"data\.{override.partition('=')[0]}: evaluate scores one split as it is"):
        evaluate_classifier("no model", "no data", overrides=[f"data.{override}"])


def test_the_data_are_named_once(model, photos):
    with pytest.raises(InputError, match=r"data\.path: the data are the second word already"):
        evaluate_classifier(model, photos, overrides=["data.path=others"])


def test_two_processes_print_and_write_once_what_one_does(model, photos, tmp_path):
    one = evaluate_classifier(model, photos, tta=["flip"])
    words = ["evaluate", str(model), str(photos), "--tta", "flip", "--output", str(tmp_path / "two")]
    two = launch(TWO, "hf_imgcls/__main__.py", *words)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("test: accuracy") == two.stdout.count("the model's train split") == 1
    shown = json.loads((tmp_path / "two/report/report.json").read_text())["splits"]["test"]["map"]
    assert shown["rows"] == list(range(shown["of"])), "features of both processes, of the images as they are"
    found = [json.loads((tmp_path / "two/results.json").read_text()), json.loads(json.dumps(one, default=str))]
    for each in found:
        assert each["tta"].pop("seconds") > 0 < each["tta"].pop("seconds_without")
    assert found[0] == found[1]
