"""Prepared copies: what they are, that they are made once, and that training alone reads them."""

import io

import datasets
import numpy as np
import pytest
from conftest import make_image
from PIL import Image
from test_decode import encoded, photo
from test_read import turned
from tiny import SIZE, tiny_model, tiny_processor

from hf_imgcls import InputError, train_classifier
from hf_imgcls.data import prepared
from hf_imgcls.data import rows as data_rows
from hf_imgcls.data.prepared import advised_size, average_pixels, check_cache_size, prepare, prepared_copies
from hf_imgcls.images import read
from hf_imgcls.images.read import read_image
from hf_imgcls.images.transforms import TrainTransform
from hf_imgcls.store import cache_folder
from hf_imgcls.store.begun import Beginning
from hf_imgcls.store.run_folder import open_run
from hf_imgcls.training import prepare_stage

PHOTO = photo(300, 200)


def copy_of(value: dict, cache_size: int = 64) -> Image.Image:
    made = prepare({"image": value}, cache_size)["image"]
    assert made["path"] is None
    return Image.open(io.BytesIO(made["bytes"]))


@pytest.mark.parametrize(
    ("kind", "options", "size"), [("JPEG", {}, (96, 64)), ("PNG", {}, (96, 64)), ("JPEG", turned(6), (64, 96))]
)
def test_a_copy_is_the_image_small_and_upright(kind, options, size):
    """Quality 95 costs up to 2.9 levels where all is detail; half a pixel of shift would cost another."""
    original = encoded(PHOTO, kind, **options)
    copy = copy_of(original)
    assert (copy.format, copy.mode, copy.size) == ("JPEG", "RGB", size)
    assert dict(copy.getexif()) == {}
    expected = read_image(original).resize(size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(copy, int) - np.asarray(expected, int)).mean() < 3


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P"])
def test_a_copy_is_rgb(mode):
    assert copy_of(encoded(PHOTO.convert(mode), "TIFF")).mode == "RGB"


def test_nothing_is_enlarged(tmp_path):
    """What is no larger is kept byte for byte, whatever it is."""
    small = encoded(PHOTO.resize((300, 64)).convert("P"), "PNG", **turned(3))
    file = tmp_path / "small.png"
    file.write_bytes(small["bytes"])
    for value in (small, {"bytes": None, "path": str(file)}):
        assert prepare({"image": value}, 64)["image"]["bytes"] == small["bytes"]


def rows(count: int = 6, **others):
    """Images of several shapes in memory."""
    images = [encoded(photo(90 + 9 * n, 120, n)) for n in range(count)]
    columns = {"image": images, "label": [n % 3 for n in range(count)], "row": list(range(10, 10 + count)), **others}
    features = {"image": datasets.Image(decode=False), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    made = datasets.Dataset.from_dict(columns)
    return made.cast(datasets.Features({**made.features, **features}))


@pytest.fixture
def copied(monkeypatch):
    """How many copies are made while a test runs."""
    made, real = [], prepared._small
    monkeypatch.setattr(prepared, "_small", lambda *given: made.append(1) or real(*given))
    return made


def test_copies_are_made_once_and_the_other_columns_stay(copied, capsys):
    given = rows(name=[f"x/{n}.jpg" for n in range(6)])
    copies = prepared_copies(given, "made once", 48)
    assert len(copied) == 6
    assert "prepared copies: 6 of 48 pixels made and cached, " in capsys.readouterr().out
    assert copies.column_names == ["image", "label", "row", "name"]
    assert copies.features == given.features
    for name in ("label", "row", "name"):
        assert copies[name][:] == given[name][:]
    assert [min(Image.open(io.BytesIO(image["bytes"])).size) for image in copies["image"]] == [48] * 6
    again = prepared_copies(given, "made once", 48)
    assert "6 of 48 pixels read from the cache" in capsys.readouterr().out
    assert again["image"][:] == copies["image"][:]
    assert len(copied) == 6
    prepared_copies(given, "made once", 49)
    prepared_copies(given, "other images", 48)
    assert len(copied) == 18


@pytest.mark.parametrize("library", ["PIL", "transformers"])
def test_another_version_of_what_reads_images_makes_other_copies(library, copied, monkeypatch):
    prepared_copies(rows(), f"versions of {library}", 48)
    monkeypatch.setattr(getattr(read, library), "__version__", "0.0.1")
    prepared_copies(rows(), f"versions of {library}", 48)
    assert len(copied) == 12


def test_damaged_copies_are_made_again(copied):
    before = prepared_copies(rows(), "damaged", 48)["image"][:]
    newest = max((cache_folder() / "copies").glob("*/*.arrow"), key=lambda file: file.stat().st_mtime_ns)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # a bit of an image
    newest.write_bytes(content)
    assert prepared_copies(rows(), "damaged", 48)["image"][:] == before
    assert len(copied) == 12


def test_several_processes_make_the_same(monkeypatch):
    alone = prepared_copies(rows(), "alone", 48)
    monkeypatch.setattr(prepared, "_ROWS_PER_PROCESS", 3)
    monkeypatch.setattr(data_rows.joblib, "cpu_count", lambda: 2)
    together = prepared_copies(rows(), "together", 48)
    assert len([file for file in together.cache_files if "_of_00002" in file["filename"]]) == 2
    assert together.to_dict() == alone.to_dict()


def test_copies_smaller_than_the_input_are_refused():
    check_cache_size(224, (224, 224))
    with pytest.raises(InputError, match=r"data\.cache_size: 224 is less than the model's input, 192x256 pixels; 320 "):
        check_cache_size(224, (192, 256))


def test_when_it_would_pay():
    large, small = 12e6, 512 * 384
    assert advised_size(large, 10, (224, 224)) == 256
    assert advised_size(large, 1, (224, 224)) is None, "making them is another epoch"
    assert advised_size(small, 10, (224, 224)) is None
    assert average_pixels(rows(3)) == pytest.approx(np.mean([90, 99, 108]) * 120)


@pytest.fixture
def recipe(make_folder, tmp_path, undrawn):
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    root = make_folder(train=4, validation=2)
    for split in ("train", "validation"):
        for file in sorted((root / split).glob("*/*")):
            make_image(file.parent.name, int(file.stem), (90, 70)).save(file)
    (root / "train" / "red" / "broken.png").write_bytes(b"broken")
    return {
        "data": {"path": str(root), "test_split": False, "cache_size": 32},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "augmentation": {"train": ["RandomResizedCrop"]},
        "training": {
            "output_dir": str(tmp_path / "run"), "max_steps": 2, "per_device_train_batch_size": 4,
            "disable_tqdm": True, "report_to": "none",
        },
    }  # fmt: skip


def test_training_reads_copies_and_scoring_the_images(recipe, tmp_path, monkeypatch, capsys):
    seen = {"train": set(), "scored": set()}
    attach = prepare_stage.attach_transform

    def watched(split, transform, *others):
        role = "train" if isinstance(transform, TrainTransform) else "scored"
        seen[role] |= {Image.open(io.BytesIO(i["bytes"]) if i["bytes"] else i["path"]).size for i in split["image"]}
        return attach(split, transform, *others)

    monkeypatch.setattr(prepare_stage, "attach_transform", watched)
    results = train_classifier(recipe)
    assert seen == {"train": {(41, 32)}, "scored": {(90, 70)}}
    assert results["parity"]["passed"]
    assert results["bad_images"] == 1
    assert "prepared copies: 12 of 32 pixels made and cached" in capsys.readouterr().out


def test_what_does_not_go_together_is_refused_before_anything_is_copied(recipe, copied):
    with pytest.raises(InputError, match=rf"data\.cache_size: 8 is less than the model's input, {SIZE}x{SIZE}"):
        train_classifier(recipe, ["data.cache_size=8"])
    with pytest.raises(InputError, match=r"data\.cache_size: a stream is read once and keeps no copies"):
        train_classifier(recipe, ["data.streaming=true"])
    assert copied == []


def test_an_unfinished_run_does_not_go_on_with_other_copies(tmp_path):
    splits = {"fingerprints": {"train": "x"}}
    open_run(tmp_path / "run", Beginning({"data": {"cache_size": 32}}, splits, {}, {}))
    with pytest.raises(InputError, match=r"data\.cache_size 32, now 64"):
        open_run(tmp_path / "run", Beginning({"data": {"cache_size": 64}}, splits, {}, {}))
