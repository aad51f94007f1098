"""Images that are nearly the same: planted copies are found, other images are not taken for copies."""

import numpy as np
import pytest
from alike import CHANGES, photo
from PIL import Image

from hf_imgcls.data.load import load_data
from hf_imgcls.data.looks import look
from hf_imgcls.data.near import find_near
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import DataSection


def thumbnails(images, tmp_path, **how) -> np.ndarray:
    found = []
    for number, image in enumerate(images):
        file = tmp_path / f"{number}.jpg"
        image.save(file, **how)
        found.append(np.frombuffer(look({"image": {"bytes": None, "path": str(file)}})["thumbnail"], np.uint8))
    return np.array(found).reshape(-1, 64, 64, 3)


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_found_and_nothing_else(change, tmp_path):
    photos = [photo(seed) for seed in range(24)]
    copies = [CHANGES[change](image) for image in photos[:6]]
    pairs = find_near(thumbnails([*photos, *copies], tmp_path, quality=70 if change == "saved again" else 92))
    assert set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == {(i, 24 + i) for i in range(6)}
    assert (pairs.likeness > 0.8).all()


def test_images_of_one_colour_and_none_at_all_have_no_copies():
    assert len(find_near(np.full((5, 64, 64, 3), 200, np.uint8)).first) == 0
    assert len(find_near(np.zeros((1, 64, 64, 3), np.uint8)).first) == 0


def test_a_look_is_that_of_the_upright_image(tmp_path):
    image = Image.fromarray(np.full((40, 90, 3), 90, np.uint8))
    image.putpixel((3, 3), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    found = look({"image": {"bytes": None, "path": str(tmp_path / "turned.jpg")}})
    assert (found["width"], found["height"], found["mode"]) == (40, 90, "RGB")
    assert found["spread"] < 12  # a few odd pixels do not count
    assert look({"image": {"bytes": None, "path": save(photo(1), tmp_path / "p.png")}})["spread"] > 100


def save(image, file):
    image.save(file)
    return str(file)


@pytest.fixture
def leaking(tmp_path):
    """Photos of two classes; train has a copy of a test image, a copy of that copy, and one of its bytes."""
    root = tmp_path / "photos"
    for number in range(24):
        split = ("train", "test", "train", "train")[number % 4]
        folder = root / split / ("cat", "dog")[number // 4 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        photo(number).save(folder / f"{number:02}.png")
    scored = root / "test" / "cat" / "01.png"
    brighter = CHANGES["brighter"](Image.open(scored))
    save(brighter, root / "train" / "cat" / "bright.png")
    save(CHANGES["brighter"](brighter), root / "train" / "dog" / "brighter.png")
    (root / "train" / "cat" / "same.png").write_bytes(scored.read_bytes())
    return root


def test_near_copies_are_dropped_from_train_in_every_fold_too(leaking):
    def load(**keys):
        return load_data(DataSection(path=str(leaking), validation_fraction=0, **keys))

    before, data = load(), load(duplicates="drop_near_from_train")
    gone = set(before.files["train"]) - set(data.files["train"])
    assert gone == {"train/cat/bright.png", "train/dog/brighter.png", "train/cat/same.png"}
    assert [note for note in data.notes if "dropped" in note] == [
        "train: 2 images that are nearly the same as images of validation or test, dropped (data.duplicates)",
        "train: 1 image that is in validation or test too, byte for byte, dropped (data.duplicates)",
    ]
    assert data.fingerprints["train"] != before.fingerprints["train"]
    assert data.fingerprints["test"] == before.fingerprints["test"]
    assert len(data.digests["train"]) == len(data.splits["train"]) == len(before.splits["train"]) - 3
    fold = load_data(DataSection(path=str(leaking), folds=3, fold=2, duplicates="drop_near_from_train"))
    assert not gone & set(fold.files["train"])


def test_a_train_split_of_near_copies_alone_is_refused(tmp_path):
    for split, change in (("train", "brighter"), ("test", None)):
        for number in range(6):
            folder = tmp_path / "photos" / split / ("cat", "dog")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            image = photo(number)
            save(CHANGES[change](image) if change else image, folder / f"{number}.png")
    section = DataSection(path=str(tmp_path / "photos"), validation_fraction=0, duplicates="drop_near_from_train")
    with pytest.raises(InputError, match=r"all 6 images of train are nearly the same .* leaves nothing to train on"):
        load_data(section)
