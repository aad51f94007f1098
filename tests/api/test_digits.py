"""The data set that ships with the recipes."""

import importlib.util
from pathlib import Path

import datasets
from PIL import Image

DIGITS = Path(__file__).parents[2] / "recipes" / "digits"


def load(folder: Path) -> datasets.DatasetDict:
    files = {split: str(folder / f"{split}.parquet") for split in ("train", "test")}
    return datasets.load_dataset("parquet", data_files=files)


def test_the_digits_load_like_any_other_data_set():
    digits = load(DIGITS)
    assert {split: len(rows) for split, rows in digits.items()} == {"train": 1437, "test": 360}
    assert digits["train"].features["label"].names == [str(digit) for digit in range(10)]
    image = digits["test"][0]["image"]
    assert (image.size, image.mode, image.format) == ((8, 8), "L", "PNG")
    assert set(digits["test"]["label"][:]) == set(range(10))
    assert Image.open(DIGITS / "seven.png").size == (8, 8)


def test_the_script_writes_the_same_images_again(tmp_path):
    spec = importlib.util.spec_from_file_location("make_digits", DIGITS / "make.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path)
    plain = datasets.Image(decode=False)
    for split, rows in load(tmp_path).items():
        assert rows.cast_column("image", plain)[:] == load(DIGITS)[split].cast_column("image", plain)[:]
    assert (tmp_path / "seven.png").read_bytes() == (DIGITS / "seven.png").read_bytes()
