"""`hf-imgcls compare`: console, files and page of scored runs; nothing of theirs is changed."""

import csv
import json

import numpy as np
import pytest
from conftest import make_image
from finished import content_of
from scored_run import NAMES, drawn, scored_run
from test_report_page import Page

from hf_imgcls import compare_runs
from hf_imgcls.cli import main

LABELS = np.random.default_rng(0).integers(0, 7, 40)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("hf_imgcls.scoring.comparison._DRAWS", 200)


@pytest.fixture
def runs(tmp_path):
    """Two runs on images of a folder, one of which is gone."""
    recipe = {"data": {"path": str(tmp_path / "photos")}}
    files = [f"test/사진 <{i}>.png" for i in range(40)]
    (tmp_path / "photos/test").mkdir(parents=True)
    for number, file in enumerate(files[:-1]):
        make_image("red", number).save(tmp_path / "photos" / file)
    made = []
    for seed, name in enumerate(("하나 <b>", "=둘")):
        logits = drawn(seed, LABELS, 1.0)
        logits[-1] = 9 * np.eye(7)[(LABELS[-1] + seed) % 7]
        made.append(scored_run(tmp_path / "runs" / name, logits, LABELS, files=files, recipe=recipe))
    return made


def test_console_and_files_say_the_same(tmp_path, runs, capsys):
    before = content_of(tmp_path / "runs")
    assert main(["compare", *map(str, runs), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "out/comparison.json").read_text(encoding="utf-8"))
    assert content_of(tmp_path / "runs") == before
    change = content["comparisons"][0]
    assert f"=둘 against 하나 <b>: accuracy {change['accuracy']['change']:+.4f}" in printed
    assert f"{len(content['differing'])} images not predicted alike:" in printed
    assert f"saved: {tmp_path / 'out'}" in printed
    rows = list(csv.DictReader((tmp_path / "out/differing.csv").open(encoding="utf-8", newline="")))
    assert [row["file"] for row in rows] == [each["file"] for each in content["differing"]]
    first = content["differing"][0]["runs"]["하나 <b>"]
    assert rows[0]["하나 <b> prediction"] == first["prediction"]
    assert float(rows[0]["하나 <b> score"]) == first["score"]
    for name, own in (("one.json", "comparison.json"), ("one.csv", "differing.csv")):
        assert compare_runs(runs, output=str(tmp_path / name))["comparisons"] == content["comparisons"]
        assert (tmp_path / name).read_bytes() == (tmp_path / "out" / own).read_bytes()
    (tmp_path / "v1.2").mkdir()
    compare_runs(runs, output=tmp_path / "v1.2")  # an empty folder
    assert (tmp_path / "v1.2/comparison.html").is_file()


def test_the_page_shows_the_images_and_loads_nothing(tmp_path, runs, capsys):
    compare_runs(runs, output=tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    content = compare_runs(runs)
    images = page.all("img")
    assert len(images) == len(content["differing"]) - 1
    assert all(each["src"].startswith("data:image/jpeg") for each in images)
    assert all("labelled" in each["alt"] and "=둘 predicts" in each["alt"] for each in images)
    assert "cannot be read" in page.words, "the image that is gone"
    assert {"script", "link", "b>"}.isdisjoint(tag for tag, _ in page.elements)
    ids = {attributes.get("id") for _, attributes in page.elements}
    links = [each["href"] for each in page.all("a")]
    assert links
    assert all(link[1:] in ids for link in links)
    change = content["comparisons"][0]
    neither = 40 - change["both_right"] - change["to_right"] - change["to_wrong"]
    assert f"하나 <b> wrong{change['to_right']}{neither}" in page.words
    assert "Right in 하나 <b> alone" in page.words
    assert NAMES[0] in page.words


def test_images_elsewhere_are_told_instead_of_shown(tmp_path, capsys):
    both = [scored_run(tmp_path / name, drawn(seed, LABELS), LABELS) for seed, name in enumerate("ab")]
    compare_runs(both, output=tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.all("img") == []
    assert "None is shown: the data are not at hand." in page.words


def test_runs_that_predict_alike(tmp_path, capsys):
    both = [scored_run(tmp_path / name, drawn(1, LABELS), LABELS) for name in "ab"]
    content = compare_runs(both, output=tmp_path / "out")
    assert content["differing"] == []
    printed = capsys.readouterr().out
    assert "all images are predicted alike" in printed
    assert "McNemar's exact test: p = 1; no difference is shown" in printed
    assert "macro-F1 +0.0000; no difference is shown" in printed
    assert "All images are predicted alike." in (tmp_path / "out/comparison.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("there.json", "--output: {tmp}/there.json exists already; name another file or folder"),
        ("no/folder/x.csv", "--output: there is no folder {tmp}/no/folder"),
        ("runs/=둘/page.html", "--output: {tmp}/runs/=둘/page.html would lie in the run {tmp}/runs/=둘"),
        ("photos/out", "--output: {tmp}/photos/out would lie in {tmp}/photos, and be taken for data"),
    ],
)
def test_places_that_would_be_lost_or_taken_for_data_are_refused(tmp_path, runs, capsys, place, words):
    (tmp_path / "there.json").write_text("mine")
    assert main(["compare", *map(str, runs), "--output", str(tmp_path / place)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"hf-imgcls: {words.format(tmp=tmp_path)}")
    assert told.count("\n") == 1
    assert (tmp_path / "there.json").read_text() == "mine"
