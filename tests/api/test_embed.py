"""`hf-imgcls embed`: a row of features for each image, those of cached features; resumed, and never of two models."""

import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import make_image
from tiny import tiny_model, tiny_processor

from hf_imgcls.api import image_rows
from hf_imgcls.api.embed import EmbedOptions, embed_images
from hf_imgcls.cli import main
from hf_imgcls.images.processors import process_image
from hf_imgcls.images.read import read_image
from hf_imgcls.models.head_input import input_of_head
from hf_imgcls.serving import reading
from hf_imgcls.serving.inference import Classifier

OUTPUT = Path("embeddings.parquet")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("embed") / "model"
    tiny_model("vit").save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Seven images and two that are none, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = Path("photos")
    folder.mkdir()
    for number in range(6):
        make_image("red", number, (30 + number, 20)).save(folder / f"{number}.png")
    make_image("blue", 1).convert("L").save(folder / "grey.jpg")
    (folder / "empty.jpg").write_bytes(b"")
    make_image("red", 9, (300, 200)).save(folder / "torn.jpg")
    (folder / "torn.jpg").write_bytes((folder / "torn.jpg").read_bytes()[:-2000])
    return folder


def rows_of(file: Path = OUTPUT) -> dict[str, dict]:
    rows = pq.read_table(file).to_pylist()
    assert len({row["image"] for row in rows}) == len(rows)
    return {row["image"]: row for row in rows}


def test_each_image_has_what_goes_into_the_classifier_or_its_error(model, photos, capsys):
    assert main(["embed", model, "photos", "--output", str(OUTPUT)]) == 0
    line = "9 images embedded, 2 of them unreadable (see the column error); in embeddings.parquet\n"
    assert capsys.readouterr().err == line
    rows = rows_of()
    assert list(rows) == sorted(str(path) for path in photos.iterdir())
    network = tiny_model("vit").eval()
    for name, row in rows.items():
        if name in ("photos/empty.jpg", "photos/torn.jpg"):
            assert row["features"] is None
            assert row["error"].startswith(("not an image", "OSError"))
            continue
        pixels = process_image(tiny_processor(), read_image({"bytes": None, "path": name}))[None]
        expected = input_of_head(network, "classifier", pixels)[0].numpy()
        np.testing.assert_allclose(np.array(row["features"], np.float32), expected, atol=1e-6)
        assert row["error"] is None
    assert len({row["model"] for row in rows.values()}) == 1


def test_the_file_has_its_documented_columns_for_every_reader(model, photos):
    embed_images(model, ["photos/1.png", "photos/empty.jpg"], OUTPUT)
    schema = pq.read_schema(OUTPUT)
    assert schema.names == ["image", "features", "error", "model"]
    assert schema.field("features").type.value_type == pa.float32()
    assert schema.metadata == {b"model": model.encode(), b"layers": b"classifier"}
    frame = pandas.read_parquet(OUTPUT)
    assert frame["features"][0].dtype == np.float32
    assert frame["features"][1] is None
    loaded = datasets.load_dataset("parquet", data_files=str(OUTPUT), split="train", cache_dir="cache")
    assert loaded.features["features"] == datasets.List(datasets.Value("float32"))
    assert loaded.with_format("torch")[0]["features"].shape == (16,)


def test_an_interrupted_run_continues_and_embeds_nothing_twice(model, photos, monkeypatch):
    embed_images(model, ["photos"], Path("whole.parquet"))
    read, opened = reading.read_source, []

    def stop(name, limits):
        if name == "photos/4.png":
            raise KeyboardInterrupt
        return read(name, limits)

    monkeypatch.setattr(reading, "read_source", stop)
    with pytest.raises(KeyboardInterrupt):
        embed_images(model, ["photos"], OUTPUT, EmbedOptions(batch_size=2))
    part = Path(f"{OUTPUT}.part-0")
    part.write_bytes(part.read_bytes()[:-7])  # killed in the middle of a line
    monkeypatch.setattr(reading, "read_source", lambda name, limits: opened.append(name) or read(name, limits))
    assert embed_images(model, ["photos"], OUTPUT) == (6, 2, 3)
    assert len(opened) == 6
    check_alike(rows_of(), rows_of(Path("whole.parquet")))
    assert not list(Path().glob("*.part*"))
    before = OUTPUT.read_bytes()
    assert embed_images(model, ["photos"], OUTPUT) == (0, 0, 9)
    assert OUTPUT.read_bytes() == before
    make_image("red", 77).save(photos / "new.png")
    assert embed_images(model, ["photos"], OUTPUT) == (1, 0, 9)
    assert list(rows_of())[-1] == "photos/new.png"
    assert pq.read_schema(OUTPUT).metadata[b"model"] == model.encode()


def check_alike(found: dict, expected: dict) -> None:
    """The same rows; features to 1e-6, since they were computed in batches of other sizes."""
    assert found.keys() == expected.keys()
    for name, row in expected.items():
        if row["features"] is not None:
            np.testing.assert_allclose(found[name]["features"], row["features"], atol=1e-6)
        assert [found[name][key] for key in ("error", "model")] == [row[key] for key in ("error", "model")]


def test_processes_share_the_images_and_give_the_same_features_to_the_bit(model, photos, monkeypatch):
    outputs, sizes = Classifier.outputs, set()
    monkeypatch.setattr(Classifier, "outputs", lambda self, pixels: sizes.add(len(pixels)) or outputs(self, pixels))
    embed_images(model, ["photos"], Path("one.parquet"))
    read_list = image_rows.serving.read_list
    for process in (0, 1):  # each its part of the list, in batches of other images
        with monkeypatch.context() as patch:
            mine = lambda file, _, __, process=process: read_list(file, process, 2)  # noqa: E731
            patch.setattr(image_rows.serving, "read_list", mine)
            patch.setattr(image_rows.serving, "merge_parts", lambda *words: None)
            embed_images(model, ["photos"], Path(f"{process}.parquet"))
        Path(f"{process}.parquet.part-0").rename(f"{OUTPUT}.part-{process}")
    assert embed_images(model, ["photos"], OUTPUT) == (0, 0, 9)
    assert list(rows_of().items()) == list(rows_of(Path("one.parquet")).items())
    assert sizes == {4}, "batches of one size: the last bits follow from it"


def test_an_image_that_could_not_be_read_for_now_is_tried_again(model, photos, down, capsys):
    down.add("photos/1.png")
    assert embed_images(model, ["photos"], OUTPUT) == (9, 3, 0)
    assert "1 image could not be read for now; the same command tries them again" in capsys.readouterr().err
    others = {name: row for name, row in rows_of().items() if name not in down}
    down.clear()
    assert embed_images(model, ["photos"], OUTPUT) == (1, 0, 8)
    rows = rows_of()
    assert rows.pop("photos/1.png")["features"]
    assert rows == others
    assert pq.read_schema(OUTPUT).metadata[b"model"] == model.encode()


def refused(capsys, *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 400
    return line


def test_what_cannot_be_right_is_refused_and_changes_nothing(model, photos, capsys):
    assert main(["embed", model, "photos/1.png", "--output", str(OUTPUT)]) == 0
    assert main(["predict", model, "photos/1.png", "--output", "rows.parquet"]) == 0
    before = OUTPUT.read_bytes(), Path("rows.parquet").read_bytes()
    other = Path("other")
    shutil.copytree(model, other)
    network = tiny_model("vit")
    torch.nn.init.ones_(network.classifier.bias)
    network.save_pretrained(other)
    line = refused(capsys, "embed", "other", "photos", "--output", str(OUTPUT))
    assert "--output: embeddings.parquet has features of another model (model@" in line
    line = refused(capsys, "embed", model, "photos", "--output", "rows.parquet")
    assert "rows.parquet has predictions, not features; name another file" in line
    line = refused(capsys, "predict", model, "photos", "--output", str(OUTPUT))
    assert "embeddings.parquet has features, not predictions; name another file" in line
    assert (OUTPUT.read_bytes(), Path("rows.parquet").read_bytes()) == before
    assert "rows.csv must end in .parquet" in refused(capsys, "embed", model, "photos", "--output", "rows.csv")
    assert "--batch-size: found 0" in refused(
        capsys, "embed", model, "photos", "--output", "x.parquet", "--batch-size", "0"
    )
    assert "arguments are required: --output" in refused(capsys, "embed", model, "photos")
    (other / "export.json").write_text(json.dumps({"format": "onnx"}))
    line = refused(capsys, "embed", "other", "photos", "--output", "x.parquet")
    assert "an export gives out logits alone; name the run that it was exported from" in line


def test_features_that_are_no_numbers_are_an_error_in_the_row(model, photos):
    broken = Path("broken")
    shutil.copytree(model, broken)
    network = tiny_model("vit").half()
    torch.nn.init.constant_(network.vit.layernorm.bias, torch.inf)
    network.save_pretrained(broken)
    assert embed_images("broken", ["photos/1.png"], OUTPUT) == (1, 1, 0)
    assert rows_of()["photos/1.png"]["error"] == "the model's features are not numbers"
