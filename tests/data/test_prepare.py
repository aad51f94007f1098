"""The Arrow files that `datasets` makes of a data file: damaged ones are made anew, never an error, never read."""

from pathlib import Path

import datasets
import pyarrow as pa
import pytest

from hf_imgcls.data.prepare import load_prepared

VALUES = [bytes([value]) * 500 for value in range(9)]


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.Dataset.from_dict({"image": VALUES, "label": list(range(9))}).to_parquet(tmp_path / "rows.parquet")
    return {"path": "parquet", "data_files": [str(tmp_path / "rows.parquet")]}


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "half": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "one bit": flip,
    "{}": lambda file: file.write_text("{}"),
    "[]": lambda file: file.write_text("[]"),
}


def files_of(rows: datasets.Dataset) -> list[Path]:
    folder = Path(rows.cache_files[0]["filename"]).parent
    return sorted(file for file in folder.iterdir() if not file.name.startswith("cache-"))


def test_what_is_damaged_is_made_anew(source):
    rows = load_prepared("train", **source)
    for file in files_of(rows):
        for name, damage in DAMAGE.items():
            damage(file)
            found = load_prepared("train", **source)
            assert found["image"][:] == VALUES, (file.name, name)
            assert found["label"][:] == list(range(9))
            assert files_of(found) == files_of(rows)
    assert [file.name for file in files_of(rows)] == ["dataset_info.json", "hf_imgcls.json", "parquet-train.arrow"]


def test_what_is_whole_is_not_made_again(source, monkeypatch):
    load_prepared("train", **source)
    monkeypatch.setattr(datasets.builder.ArrowBasedBuilder, "_prepare_split", None)
    assert load_prepared(None, **source)["train"]["image"][:] == VALUES


@pytest.mark.parametrize("damage", ["half", "empty", "gone"])
def test_what_was_cached_without_a_record_and_cannot_be_read_is_made_anew(damage, source):
    rows = datasets.load_dataset(**source, split="train")
    file = next(file for file in files_of(rows) if file.suffix == ".arrow")
    DAMAGE[damage](file)
    assert load_prepared("train", **source)["image"][:] == VALUES


def test_what_is_wrong_with_the_source_is_its_own_error(source, tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(pa.ArrowInvalid):
        load_prepared("train", **source)
