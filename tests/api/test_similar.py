"""`hf-imgcls similar`: the nearest images of a file, by rows of it or by the model that it names."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import make_image
from tiny import tiny_model, tiny_processor

from hf_imgcls.api import similar
from hf_imgcls.api.embed import embed_images
from hf_imgcls.api.similar import SimilarOptions, find_similar
from hf_imgcls.cli import main

FILE = Path("embeddings.parquet")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A model, photos of two colours, their features, in one folder."""
    root = tmp_path_factory.mktemp("similar")
    tiny_model("convnet").save_pretrained(root / "model")
    tiny_processor().save_pretrained(root / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Path("photos").mkdir()
        for colour in ("red", "blue"):
            for number in range(4):
                make_image(colour, number).save(f"photos/{colour}{number}.png")
        Path("photos/torn.png").write_bytes(b"")
        embed_images("model", ["photos"], FILE)
        make_image("red", 40).save("new.png")
        shutil.copy("photos/blue2.png", "copy.png")
    return root


@pytest.fixture(autouse=True)
def _inside(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")


def test_a_row_is_compared_without_its_model_and_without_itself(monkeypatch):
    monkeypatch.setattr(similar, "open_here", lambda *words: pytest.fail("the model was opened"))
    Path("photos/red1.png").unlink()
    shutil.rmtree("model")
    (found,) = find_similar(FILE, ["photos/red1.png"], options=SimilarOptions(top_k=3))
    assert {name for name, _ in found.images} == {f"photos/red{number}.png" for number in (0, 2, 3)}
    values = [value for _, value in found.images]
    assert values == sorted(values, reverse=True)
    assert 0.9 < values[0] < 1


def test_another_image_is_compared_by_the_model_that_the_file_names():
    new, copy, torn = find_similar(FILE, ["new.png", "copy.png", "photos/torn.png"])
    assert all(name.startswith("photos/red") for name, _ in new.images[:4])
    assert copy.images[0][0] == "photos/blue2.png"
    assert copy.images[0][1] == pytest.approx(1, abs=1e-6)
    assert (torn.images, torn.error) == ([], "not an image, or its header is broken")
    assert len(find_similar(FILE, ["photos", "photos/red1.png"])) == 9, "each image once"


def refused(capsys, *words: str) -> str:
    capsys.readouterr()
    assert main(["similar", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 400
    return line


def test_a_model_that_has_changed_or_moved_is_refused_until_it_is_named(capsys):
    Path("model").rename("moved")
    assert "'model'" in refused(capsys, str(FILE), "new.png")
    assert find_similar(FILE, ["new.png"], options=SimilarOptions(model="moved"))[0].images
    tiny_model("convnet", ["x", "y", "z"]).save_pretrained("moved")
    line = refused(capsys, str(FILE), "new.png", "--model", "moved")
    assert re.search(r"has features of model@\w+, and moved is moved@\w+ now; embed the images again", line)


def test_results_are_printed_and_written_in_every_form(capsys, monkeypatch):
    words = ["similar", str(FILE), "--top-k", "2", "new.png", "photos/torn.png"]
    assert main([*words, "--output", "found.csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows == list(csv.DictReader(io.StringIO(Path("found.csv").read_text())))
    assert [(row["query"], row["rank"]) for row in rows] == [
        ("new.png", "1"),
        ("new.png", "2"),
        ("photos/torn.png", ""),
    ]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main([*words, "--output", "found.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "new.png"
    assert lines[1] == f"  {float(rows[0]['similarity']):6.3f}  {rows[0]['image']}"
    assert lines[3] == "photos/torn.png: not an image, or its header is broken"
    found = json.loads(Path("found.json").read_text())
    assert [each["image"] for each in found[0]["images"]] == [row["image"] for row in rows[:2]]
    assert main([*words, "--output", "found.html"]) == 0
    page = Path("found.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert f'alt="number 1, similarity {float(rows[0]["similarity"]):.3f}: {rows[0]["image"]}"' in page
    assert "2 queries" in page
    assert "cannot be compared: not an image" in page


def test_bad_input_is_one_line(capsys):
    Path("mine.csv").write_text("x")
    assert "mine.csv is there; name a new file" in refused(capsys, str(FILE), "new.png", "--output", "mine.csv")
    assert Path("mine.csv").read_text() == "x"
    assert "must end in .csv, .json or .html" in refused(capsys, str(FILE), "new.png", "--output", "a.txt")
    assert "no/such.png: no such file" in refused(capsys, str(FILE), "no/such.png")
    assert "--top-k: found 0" in refused(capsys, str(FILE), "new.png", "--top-k", "0")
    assert "no.parquet: no such file" in refused(capsys, "no.parquet", "new.png")
