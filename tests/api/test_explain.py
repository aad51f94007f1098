"""`hf-imgcls explain`: a picture for every image that can be read, nothing of the user's overwritten."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import make_image
from PIL import Image
from tiny import tiny_model, tiny_processor

from hf_imgcls import explain_images
from hf_imgcls.api.explain import ExplainOptions, _file_name, describe_row
from hf_imgcls.api.predict import predict_images
from hf_imgcls.cli import main
from hf_imgcls.models.label_kind import set_thresholds

LABELS = ("개", "고양이", "새")


@pytest.fixture
def model(tmp_path):
    tiny_model("convnext", LABELS).save_pretrained(tmp_path / "model")
    tiny_processor().save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Images of many modes, two of one name, and two that are none, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = Path("photos")
    (folder / "more").mkdir(parents=True)
    make_image("red", 1, (60, 40)).save(folder / "사진.png")
    make_image("blue", 1).convert("L").save(folder / "grey.jpg")
    make_image("blue", 2).convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) % 250).save(folder / "deep.png")
    make_image("green", 1).save(folder / "more" / "grey.jpg")
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(folder / "white.png")
    (folder / "empty.jpg").write_bytes(b"")
    return folder


def test_every_image_that_can_be_read_has_a_picture(explaining, model, photos, capsys):
    assert main(["explain", model, "photos", "--json"]) == 0
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["image"] for row in rows] == [
        *(f"photos/{name}" for name in ("alpha.png", "deep.png", "empty.jpg", "grey.jpg", "white.png", "사진.png")),
        "photos/more/grey.jpg",
    ]
    assert printed.err == "5 images explained, 2 skipped; in explanations\n"
    predict_images(model, ["photos"], Path("predictions.jsonl"))
    predicted = [json.loads(line) for line in Path("predictions.jsonl").read_text().splitlines()]
    for row, same in zip(rows, predicted, strict=True):
        assert (row["image"], row["error"]) == (same["image"], same["error"])
        if row["error"] is None:
            assert row["predicted"] == [same["label_1"]]
            assert row["maps"] == [
                {"label": same["label_1"], "score": pytest.approx(same["score_1"], abs=1e-6), "found": True}
            ]
            with Image.open(row["file"]) as picture:
                assert min(picture.size) > 100
    assert {row["file"] for row in rows} == {
        None, *(f"explanations/{name}.png" for name in ("alpha", "deep", "grey", "사진", "grey-2"))
    }  # fmt: skip
    turned = next(row for row in rows if row["image"] == "photos/사진.png")
    assert (turned["seen"], turned["frame"]) == ([0, 0, 60, 40], "squashed")
    assert turned["layers"] == ["convnext.encoder.stages.1"]


def test_lines_name_image_label_and_picture_and_what_was_skipped(explaining, model, photos, capsys):
    words = [model, "photos/사진.png", "photos/empty.jpg", "--label", "새", "--label", "개", "--output", "maps"]
    assert main(["explain", *words]) == 0
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert line.startswith("photos/사진.png  ")
    assert "새 0." in line
    assert line.endswith("  maps/사진.png  squashed")
    assert "photos/empty.jpg: skipped: not an image, or its header is broken" in printed.err
    assert describe_row({"image": "a", "error": "no"}) == "a: skipped: no"


def test_what_is_there_is_never_overwritten(explaining, model, photos, capsys):
    Path("explanations").mkdir()
    kept = Path("explanations/사진.png")
    kept.write_bytes(b"mine")
    before = sorted(photos.rglob("*"))
    for output, why in (
        ("explanations", "is not empty"),
        ("photos/maps", "is in photos, so its pictures would be read as images"),
        ("photos/grey.jpg", "is a file"),
        ("predictions.csv/maps", "is a file"),
    ):
        Path("predictions.csv").write_text("mine")
        assert main(["explain", model, "photos", "--output", output]) == 2
        assert why in capsys.readouterr().err
    assert kept.read_bytes() == b"mine"
    assert sorted(photos.rglob("*")) == before


def test_what_cannot_be_explained_is_one_line(explaining, model, photos, capsys):
    (photos.parent / "export").mkdir()
    (photos.parent / "export/export.json").write_text("{}")
    for words, why in (
        ([model, "photos", "--label", "고양"], "--label: the model has no label '고양'; did you mean \"고양이\"?"),
        (["export", "photos"], "an export has no gradients"),
        ([model, "nothing"], "nothing: no such file or folder"),
        ([model, "photos", "--max-pixels", "0"], "--max-pixels: found 0"),
    ):
        assert main(["explain", *words]) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert why in printed
    assert not Path("explanations").exists()


def test_without_the_library_the_line_has_the_command(model, photos, capsys):
    assert main(["explain", model, "photos"]) == 2
    assert 'maps need grad-cam: pip install "hf-imgcls[explain]"' in capsys.readouterr().err


def test_several_labels_an_image_each_have_a_map(explaining, tmp_path, photos):
    network = tiny_model("convnext", LABELS)
    network.config.problem_type = "multi_label_classification"
    set_thresholds(network.config, np.array([0.0, 0.0, 1.0]))
    network.save_pretrained(tmp_path / "several")
    tiny_processor().save_pretrained(tmp_path / "several")
    (row,) = explain_images(str(tmp_path / "several"), ["photos/grey.jpg"], Path("maps"))
    assert sorted(row["predicted"]) == ["개", "고양이"]
    assert [each["label"] for each in row["maps"]] == row["predicted"]
    set_thresholds(network.config, np.array([1.0, 1.0, 1.0]))
    network.save_pretrained(tmp_path / "several")
    (row,) = explain_images(str(tmp_path / "several"), ["photos/grey.jpg"], Path("none"))
    assert row["predicted"] == []
    assert len(row["maps"]) == 1
    (row,) = explain_images(
        str(tmp_path / "several"), ["photos/grey.jpg"], Path("asked"), ExplainOptions(labels=["새"])
    )
    assert [each["label"] for each in row["maps"]] == ["새"]


def test_names_of_pictures_are_of_their_images_and_not_taken_twice():
    taken = set()
    names = [
        "a/사진.jpg",
        "b/사진.png",
        "b/사진.PNG",
        "a.jpg",
        "A.png",
        "https://x.org/d/new.jpg?size=3",
        "x:y\n.jpg",
        ".jpg",
    ]
    assert [_file_name(name, taken) for name in names] == [
        "사진.png", "사진-2.png", "사진-3.png", "a.png", "A-2.png", "new.png", "x_y�.png", "jpg.png"
    ]  # fmt: skip
    assert len(_file_name(f"{'사' * 300}.jpg", set()).encode()) <= 255
