"""`hf-imgcls predict`: a row for every image, the predictions of `pipeline`, and continuing an interrupted run."""

import csv
import io
import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from conftest import make_image
from launches import TWO, launch
from tiny import tiny_model, tiny_processor
from transformers import pipeline

from hf_imgcls.api.predict import predict_images
from hf_imgcls.cli import main
from hf_imgcls.serving import inference, reading
from hf_imgcls.serving.inference import Classifier, predict_rows
from hf_imgcls.serving.open import PredictOptions
from hf_imgcls.serving.reading import read_ahead
from hf_imgcls.serving.rows import RowWriter

FORMATS = (".csv", ".jsonl", ".parquet")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Nine images of many kinds and two that are none, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = Path("photos")
    folder.mkdir()
    for number in range(5):
        make_image("red", number, (30 + number, 20)).save(folder / f"{number}.png")
    make_image("blue", 1).convert("L").save(folder / "grey.jpg")
    make_image("blue", 2).convert("CMYK").save(folder / "cmyk.jpg")
    make_image("blue", 3).convert("P").save(folder / "palette.gif")
    turned = make_image("green", 1, (40, 20))
    turned.save(folder / "turned.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03"
                b"\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")  # fmt: skip
    (folder / "empty.jpg").write_bytes(b"")
    make_image("red", 9, (300, 200)).save(folder / "torn.jpg")
    (folder / "torn.jpg").write_bytes((folder / "torn.jpg").read_bytes()[:-2000])
    return folder


BROKEN = {
    "photos/empty.jpg": "not an image, or its header is broken",
    "photos/torn.jpg": "OSError: image file is truncated ",
}


def rows_of(output) -> list[dict]:
    output = Path(output)
    if output.suffix == ".parquet":
        return pq.read_table(output).to_pylist()
    if output.suffix == ".jsonl":
        return [json.loads(line) for line in output.read_text().splitlines()]
    return [
        {key: (float(value) if key.startswith("score") else value) if value else None for key, value in row.items()}
        for row in csv.DictReader(io.StringIO(output.read_text()))
    ]


def check_as_pipeline(rows: list[dict], model: str) -> None:
    serve = pipeline("image-classification", model=model, device="cpu")
    for row in rows:
        if row["image"] in BROKEN:
            assert row["error"].split("(")[0] == BROKEN[row["image"]]
            assert row["label_1"] is row["score_3"] is None
            continue
        served = serve(row["image"], top_k=3)
        assert [row[f"label_{place}"] for place in (1, 2, 3)] == [each["label"] for each in served]
        assert all(abs(row[f"score_{place}"] - served[place - 1]["score"]) < 1e-6 for place in (1, 2, 3))
        assert row["error"] is None


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_image_has_a_row_with_the_prediction_of_pipeline_or_the_error(suffix, model, photos, capsys):
    output = f"predictions{suffix}"
    assert main(["predict", model, "photos", "--output", output, "--batch-size", "4"]) == 0
    rows = rows_of(output)
    assert [row["image"] for row in rows] == sorted(str(path) for path in photos.iterdir())
    assert list(rows[0]) == ["image", "label_1", "score_1", "label_2", "score_2", "label_3", "score_3", "error",
                             "model"]  # fmt: skip
    check_as_pipeline(rows, model)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"11 images predicted, 2 of them unreadable (see the column error); in {output}" in printed.err
    assert printed.err.count("\n") == 1, "no progress bar where there is no terminal"


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("processes_before", [1, 2])
def test_an_interrupted_run_continues_and_predicts_nothing_twice(suffix, processes_before, model, photos, monkeypatch):
    whole, output = Path(f"whole{suffix}"), Path(f"predictions{suffix}")
    assert predict_images(model, ["photos"], whole) == (11, 2, 0)
    read, opened = reading.read_source, []

    def stop(name, limits):
        if name == "photos/3.png":
            raise KeyboardInterrupt
        return read(name, limits)

    monkeypatch.setattr(reading, "read_source", stop)
    with pytest.raises(KeyboardInterrupt):
        predict_images(model, ["photos"], output, PredictOptions(batch_size=2))
    if suffix == ".parquet":
        assert not output.exists()
    unfinished = output.with_name(f"{output.name}.part-0") if suffix == ".parquet" else output
    if processes_before == 2:  # two processes had run: what the second one left is a part too
        unfinished.rename(f"{output.name}.part-1")
        unfinished = Path(f"{output.name}.part-1")
        if suffix == ".csv":
            unfinished.write_text("".join(json.dumps(row) + "\n" for row in rows_of_text(unfinished)))
    unfinished.write_bytes(unfinished.read_bytes()[:-7])  # killed in the middle of a line
    for left in ("part-list", "part-new"):
        Path(f"{output.name}.{left}").write_text("of a killed run")
    monkeypatch.setattr(reading, "read_source", lambda name, limits: opened.append(name) or read(name, limits))
    counts = predict_images(model, ["photos"], output)
    assert counts.earlier == 1
    assert counts.images == 10
    assert len(opened) == 10
    assert sorted(map(str, rows_of(output))) == sorted(map(str, rows_of(whole)))
    assert not list(Path().glob("*.part*"))
    opened.clear()
    before = output.read_bytes()
    assert predict_images(model, ["photos"], output) == (0, 0, 11)
    assert (opened, output.read_bytes()) == ([], before)
    make_image("red", 77).save(photos / "new.png")
    assert predict_images(model, ["photos"], output) == (1, 0, 11)
    assert rows_of(output)[-1]["image"] == "photos/new.png"


@pytest.mark.parametrize("suffix", FORMATS)
def test_images_that_could_not_be_read_for_now_are_tried_again(suffix, model, photos, down, capsys):
    output = Path(f"predictions{suffix}")
    down |= {"photos/1.png", "photos/grey.jpg"}
    assert predict_images(model, ["photos"], output) == (11, 4, 0)
    assert "2 images could not be read for now; the same command tries them again" in capsys.readouterr().err
    down.remove("photos/1.png")
    assert predict_images(model, ["photos/0.png", "photos/1.png"], output) == (1, 0, 1)
    assert len(rows_of(output)) == 11, "of the image that is not in this list the row stays"
    down.clear()
    assert predict_images(model, ["photos"], output) == (1, 0, 10)
    assert predict_images(model, ["photos"], output) == (0, 0, 11)
    rows = rows_of(output)
    assert sorted(row["image"] for row in rows) == sorted(str(path) for path in photos.iterdir())
    check_as_pipeline(rows, model)


def test_a_model_of_strange_labels_does_not_reach_the_terminal_and_breaks_no_output(model, photos, capsys, monkeypatch):
    tiny_model("vit", ["=1+1", "line\nbreak \x1b[2J\u202e\ud800", "x" * 300]).save_pretrained(model)
    for suffix in FORMATS:
        output = Path(f"predictions{suffix}")
        assert predict_images(model, ["photos/0.png"], output).images == 1
        assert predict_images(model, ["photos"], output).earlier == 1
        assert len(rows_of(output)) == 11
    cells = {row["label_1"] for row in rows_of("predictions.csv")} - {None}
    assert cells <= {"'=1+1", r"line\nbreak \x1b[2J\u202e\ud800", "x" * 300}
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    capsys.readouterr()
    assert main(["predict", model, "photos"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert all(
        line.isprintable() and (len(line) <= 60 or "not an image" in line or "OSError" in line) for line in lines
    )


def rows_of_text(part: Path) -> list[dict]:
    part.rename("x.csv")
    return rows_of("x.csv")


def test_another_model_or_another_number_of_labels_is_refused_in_one_line(model, photos, tmp_path, capsys):
    assert main(["predict", model, "photos/1.png", "--output", "a.csv", "--top-k", "2"]) == 0
    before = Path("a.csv").read_bytes()

    def refused(*words: str) -> str:
        capsys.readouterr()
        assert main(["predict", *words]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line and "it/s" not in line]
        assert len(lines) == 1
        return lines[0]

    assert "has 2 labels per image, not 3; use --top-k 2" in refused(model, "photos", "--output", "a.csv")
    tiny_model("vit", ["x", "y", "z"]).save_pretrained(model)
    line = refused(model, "photos", "--output", "a.csv", "--top-k", "2")
    assert line.startswith("hf-imgcls: --output: a.csv has predictions of another model (model@")
    assert Path("a.csv").read_bytes() == before
    assert "photos/no.png: no such file" in refused(model, "photos/1.png", "photos/no.png")
    assert "--top-k: found 0, expected 1 or more" in refused(model, "photos", "--top-k", "0")
    assert "--half: is for a GPU" in refused(model, "photos", "--half", "--device", "cpu")
    assert "--batch-size: found -1" in refused(model, "photos", "--batch-size=-1")
    assert "must end in .csv" in refused(model, "photos", "--output", "a.txt")
    assert "no such folder" in refused("./no/model", "photos")
    assert "--device" in refused(model, "photos", "--device", "warp")


def test_images_may_follow_options_and_top_k_is_limited_to_the_number_of_labels(model, photos, capsys, monkeypatch):
    Path("a=b.png").write_bytes(Path("photos/1.png").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"photos/2.png\nno/such.png\n")))
    assert main(["predict", "--top-k", "9", model, "photos/0.png", "--device", "cpu", "a=b.png", "-"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["image"] for row in rows] == ["photos/0.png", "a=b.png", "photos/2.png", "no/such.png"]
    assert rows[-1]["error"] == "no such file"
    assert "label_3" in rows[0]
    assert "label_4" not in rows[0]


def test_a_table_on_a_terminal(model, photos, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    evil = Path("photos/\x1b[31m.png")
    evil.write_bytes(Path("photos/1.png").read_bytes())
    Path("photos/1.png").rename(Path("photos") / ("long" * 10 + "1.png"))
    assert main(["predict", model, "photos"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert "\x1b[31m" not in "".join(lines)
    assert next(line for line in lines if "longlong1.png" in line).startswith("…nglong")
    good = [line for line in lines if "  0." in line]
    assert len(good) == 10
    assert all(len(line) <= 40 for line in good)
    assert len({line.index("  0.", 20) for line in good}) == 1
    assert any("not an image, or its header is broken" in line for line in lines)


def test_nan_scores_are_an_error_in_the_row(photos):
    nan = Classifier(
        "x", ["a", "b"], tiny_processor(), lambda pixels: pixels.mean((2, 3))[:, :2] * torch.nan, lambda x: x
    )
    (rows,) = predict_rows(nan, ["photos/1.png"], ["image", "label_1", "score_1", "error", "model"], 4)
    assert rows == [{"image": "photos/1.png", "label_1": None, "score_1": None,
                     "error": "the model's scores are not numbers", "model": "x"}]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "error"),
    [
        *itertools.product(["read_source", "process_image"], [MemoryError, NameError, TypeError]),
        ("process_image", torch.OutOfMemoryError),
    ],
)
def test_bugs_and_exhausted_memory_are_no_unreadable_images(step, error, photos, monkeypatch):
    classifier = Classifier("x", ["a"], tiny_processor(), lambda pixels: pixels.mean((2, 3))[:, :1], lambda x: x)
    columns = ["image", "label_1", "score_1", "error", "model"]

    def fail(*arguments):
        raise error("of this machine, or of this package")

    monkeypatch.setattr(reading if step == "read_source" else inference, step, fail)
    with pytest.raises(error):
        list(predict_rows(classifier, ["photos/1.png"], columns, 4))


def test_an_image_that_the_processor_rejects_is_an_error_in_the_row(photos, monkeypatch):
    def reject(*arguments):
        raise ValueError("too narrow")

    monkeypatch.setattr(inference, "process_image", reject)
    classifier = Classifier("x", ["a"], tiny_processor(), lambda pixels: pixels, lambda x: x)
    ((row,),) = predict_rows(classifier, ["photos/1.png"], ["image", "label_1", "score_1", "error", "model"], 4)
    assert row["error"] == "ValueError: too narrow"


def test_a_limited_number_of_images_is_read_ahead():
    started, lock = [], threading.Lock()

    def read(item):
        with lock:
            started.append(item)
        return item

    with ThreadPoolExecutor(3) as pool:
        results = read_ahead(pool, read, iter(range(1_000)), 8)
        assert next(results) == 0
        deadline = time.monotonic() + 10
        while len(started) < 8 and time.monotonic() < deadline:  # as while the network is busy
            time.sleep(0.01)
        time.sleep(0.05)
        assert sorted(started) == list(range(8))
        assert list(results) == list(range(1, 1_000))


def test_reader_threads_do_not_change_the_networks_thread_count(photos):
    before, seen = torch.get_num_threads(), []

    def logits(pixels):
        seen.append(torch.get_num_threads())
        return pixels.mean((2, 3))

    torch.set_num_threads(2)
    try:
        list(predict_rows(Classifier("x", ["a", "b", "c"], tiny_processor(), logits, lambda x: x), ["photos/1.png"] * 9,
                    ["image", "label_1", "score_1", "error", "model"], 2))  # fmt: skip
        assert set(seen) == {2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_two_processes_write_what_one_writes(model, photos, tmp_path):
    mirrored = PredictOptions(tta=("flip",))
    assert predict_images(model, [str(tmp_path / "photos")], tmp_path / "one.csv", mirrored) == (11, 2, 0)
    again = {**rows_of("one.csv")[3], "label_1": None, "error": "temporary: TimeoutError: timed out"}
    with RowWriter(tmp_path / "two.csv", list(again)) as writer:
        writer.write([again])
    words = ["hf_imgcls/predict.py", model, str(tmp_path / "photos"), "--output", str(tmp_path / "two.csv")]
    two = launch(TWO, *words, "--batch-size", "2", "--tta", "flip")
    assert two.returncode == 0, two.stderr
    one, both = rows_of("one.csv"), rows_of("two.csv")
    assert [row["image"] for row in both] == [row["image"] for row in one]
    assert [row["label_1"] for row in both] == [row["label_1"] for row in one]
    assert two.stderr.count("11 images predicted, 2 of them unreadable") == 1
    assert two.stderr.count("of 9 images; the network took ") == two.stderr.count("tta: ") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "one.csv", "photos", "two.csv"]
