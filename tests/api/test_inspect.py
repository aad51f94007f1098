"""What an inspection says, prints and writes, and its exit status."""

import csv
import json
import shutil

import numpy as np
import pytest
from conftest import make_image
from PIL import Image
from tiny import tiny_model, tiny_processor
from undrawn import Plots

from hf_imgcls.api import InspectOptions, inspect_data
from hf_imgcls.cli import main


@pytest.fixture
def faulty(make_folder):
    """Class folders with one or two of every fault."""
    root = make_folder(train=11, validation=2, test=3)
    for source, copy in {
        "train/red/000.png": "test/red/again.png",
        "train/blue/001.png": "test/green/as_green.png",
        "train/green/002.png": "train/green/twin.png",
    }.items():
        shutil.copy(root / source, root / copy)
    Image.open(root / "train/red/004.png").save(root / "test/red/saved.jpg", quality=92)
    Image.open(root / "train/red/005.png").save(root / "train/blue/as_blue.jpg", quality=92)
    (root / "train/blue/broken.png").write_bytes(b"\x89PNG\r\n")
    Image.new("RGB", (24, 20), (3, 3, 3)).save(root / "train/blue/black.png")
    noise = np.random.default_rng(0).integers(0, 255, (20, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "train/blue/long.png")
    Image.fromarray(noise[:9, :8]).save(root / "train/blue/tiny.png")
    (root / "test/violet").mkdir()
    make_image("red", 999).save(root / "test/violet/1.png")
    shutil.rmtree(root / "validation/red")
    for number in range(3, 11):
        (root / f"train/green/{number:03}.png").unlink()
    return root


def found(report) -> dict:
    return {(each["kind"], each["split"]): [file.get("file") for file in each["files"]] for each in report["findings"]}


def test_every_fault_is_found_once_with_its_files_and_nothing_else(faulty):
    before = {file: file.read_bytes() for file in faulty.rglob("*") if file.is_file()}
    report = inspect_data(faulty)
    assert found(report) == {
        ("unreadable", "train"): ["train/blue/broken.png"],
        ("unknown_label", "test"): ["test/violet/1.png"],
        ("duplicates_across", "test"): ["test/red/again.png"],
        ("duplicates_within", "train"): ["train/green/twin.png"],
        ("near_across", "test"): ["test/red/saved.jpg"],
        ("other_label", "test"): ["test/green/as_green.png"],
        ("other_label", "train"): ["train/red/005.png"],
        ("few_images", "train"): [None],
        ("few_images", "validation"): [None],
        ("constant", "train"): ["train/blue/black.png"],
        ("tiny", "train"): ["train/blue/tiny.png"],
        ("long", "train"): ["train/blue/long.png"],
    }
    assert all(each["advice"] and each["text"] for each in report["findings"])
    split = report["splits"]["train"]
    assert split["images"] == 30
    assert split["per_class"] == {"blue": 15, "green": 4, "red": 11}
    assert split["sizes"] == {"smallest": [8, 9], "median": [24, 20], "largest": [120, 20], "different": 3}
    assert split["modes"] == {"RGB": 30}
    assert {file: file.read_bytes() for file in faulty.rglob("*") if file.is_file()} == before


def test_the_command_prints_writes_and_ends_with_its_status(faulty, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hf_imgcls.reports.inspection_figures.import_plots", Plots)
    place = tmp_path / "inspected"
    assert main(["inspect", str(faulty), "--output", str(place), "--strict"]) == 1
    out, err = capsys.readouterr()
    assert "test: 1 image, nearly the same as one of train: test/red/saved.jpg = train/red/004.png" in out
    assert err.startswith("hf-imgcls: inspect: 12 findings, the first: train: 1 image, unreadable; ")
    assert len(err) < 400
    report = json.loads((place / "inspection.json").read_text())
    with (place / "findings.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(each["files"]) for each in report["findings"])
    assert (rows[2]["file"], rows[2]["other_file"]) == ("test/red/again.png", "train/red/000.png")
    drawn = {file.name for file in (place / "plots").iterdir()}
    assert {"classes.png", "images_1.png", "near_across.png", "other_label.png", "constant.png"} <= drawn
    kept = (place / "inspection.json").read_bytes()
    assert main(["inspect", str(faulty), "--output", str(place)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (place / "inspection.json").read_bytes() == kept
    kinds = {each["kind"] for each in report["findings"]}
    assert main(["inspect", str(faulty), "--strict", "--allow", *kinds]) == 0
    assert main(["inspect", str(faulty), "--strict", "--allow", *(kinds - {"tiny"})]) == 1
    assert main(["inspect", str(faulty), "--output", str(tmp_path / "f.csv")]) == 0
    assert (tmp_path / "f.csv").read_bytes() == (place / "findings.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--allow", "tyny"], 'did you mean "tiny"?'),
        (["--output", "PHOTOS/report"], "be taken for data"),
        (["--output", "nowhere/report.json"], "there is no folder"),
        (["data.streaming=true", "training.max_steps=1"], "data.streaming: inspect reads all images"),
        (["data.path=nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words, says, make_folder, capsys):
    root = make_folder(2)
    assert main(["inspect", str(root), *(word.replace("PHOTOS", str(root)) for word in words)]) == 2
    assert says in capsys.readouterr().err


def test_a_recipe_and_the_folder_of_a_run_say_which_data(make_folder, tmp_path, capsys):
    root = make_folder(train=12, test=4)
    recipe = {"data": {"path": str(root)}, "model": {"checkpoint": "a/b"}, "training": {"output_dir": "x"}}
    (tmp_path / "run").mkdir()
    for file in (tmp_path / "my.json", tmp_path / "run" / "recipe.json"):
        file.write_text(json.dumps(recipe))
    for source in (tmp_path / "my.json", tmp_path / "run"):
        assert main(["inspect", str(source), "data.validation_split=false", "--strict"]) == 0
        assert "inspect: nothing wrong was found" in capsys.readouterr().out
    (tmp_path / "my.json").write_text('{"data": {"pth": "x"}}')
    assert main(["inspect", str(tmp_path / "my.json")]) == 2
    assert "data.pth" in capsys.readouterr().err


@pytest.fixture
def network(tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "network")
    tiny_processor().save_pretrained(tmp_path / "network")
    return str(tmp_path / "network")


def test_suspect_labels_become_a_file_of_decisions_that_a_recipe_applies(
    make_folder, network, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("hf_imgcls.reports.inspection_figures.import_plots", Plots)
    root = make_folder(train=12, test=3)
    (root / "train/red/003.png").rename(root / "train/blue/flipped.png")
    (root / "test/green/001.png").rename(root / "test/red/flipped.png")
    words = ["data.validation_split=false", "data.validation_fraction=0", "training.use_cpu=true"]
    assert (
        main(["inspect", str(root), *words, "--checkpoint", network, network, "--output", str(tmp_path / "seen")]) == 0
    )
    out = capsys.readouterr().out
    assert "predicted as labelled, out of sample, by the mean of 2 networks" in out
    with (tmp_path / "seen/decisions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    wrong = {"train/blue/flipped.png": "red", "test/red/flipped.png": "green"}
    assert {each["file"]: each["suggested"] for each in rows[:2]} == wrong
    assert [each["decision"] for each in rows] == [""] * len(rows)
    assert (tmp_path / "seen/plots/suspects.png").is_file()
    for each in rows:
        each["decision"] = "relabel" if each["file"] in wrong else "keep"
    with (tmp_path / "decided.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    relabelled = [*words, f"data.relabel={tmp_path / 'decided.csv'}", f"model.checkpoint={network}"]
    report = inspect_data(root, relabelled, InspectOptions(labels=True))
    assert report["splits"]["train"]["per_class"] == {"blue": 12, "green": 12, "red": 12}
    assert not wrong.keys() & {each["file"] for each in report["suspects"]}


def test_labels_need_a_pretrained_network_that_has_not_seen_them(make_folder, network, tmp_path, capsys):
    root = make_folder(4)
    data = inspect_data(root)
    (tmp_path / "network/splits.json").write_text(
        json.dumps({"fingerprints": {"train": data["splits"]["train"]["fingerprint"]}})
    )
    assert main(["inspect", str(root), "--checkpoint", network]) == 2
    assert "was trained on these images with these labels" in capsys.readouterr().err
    scratch = {"model": {"architecture": "convnet", "from_scratch": True}, "training": {"output_dir": "x"}}
    (tmp_path / "scratch.json").write_text(json.dumps({"data": {"path": str(root)}, **scratch}))
    assert main(["inspect", str(tmp_path / "scratch.json"), "--labels"]) == 2
    assert "trains from scratch" in capsys.readouterr().err
