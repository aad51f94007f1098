"""Class folders on disk: what becomes a class, a split, an image, and what is skipped and noted."""

import os
import unicodedata

import pytest
from conftest import make_image

from hf_imgcls.data.folders import scan_folder, split_of
from hf_imgcls.errors import InputError


def put(root, *names: str):
    """Files under a folder: an image for a .png, text for anything else."""
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".png":
            make_image("red", number, (8, 6)).save(file)
        else:
            file.write_text("text")
    return root


def names(entries) -> list[tuple[str, str]]:
    return [(entry.label, entry.name) for entry in entries]


def test_class_folders_without_splits_are_train(tmp_path):
    put(tmp_path, "dog/b.png", "cat-big/1.png", "cat/deep/er/2.png", "cat/1.png", "dog/A.PNG.png")
    found, notes = scan_folder(tmp_path)
    assert names(found["train"]) == [
        ("cat", "cat/1.png"),
        ("cat", "cat/deep/er/2.png"),
        ("cat-big", "cat-big/1.png"),
        ("dog", "dog/A.PNG.png"),
        ("dog", "dog/b.png"),
    ]
    assert list(found) == ["train"]
    assert notes == []
    assert all(os.path.isabs(entry.path) and os.path.getsize(entry.path) == entry.size for entry in found["train"])


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("training_set", "train"),
        ("train2017", "train"),
        ("test1", "test"),
        ("test-images", "test"),
        ("VAL", "validation"),
        ("valid", "validation"),
        ("dev data", "validation"),
        ("trains", None),
        ("bullet train", None),
        ("invalid", None),
        ("기차train", None),
        ("images", None),
    ],
)
def test_folders_that_name_a_split(folder, split):
    assert split_of(folder) == split


def test_split_folders_with_odd_spellings(tmp_path):
    put(
        tmp_path, "training_set/cat/1.png", "training_set/dog/1.png", "Val/cat/1.png", "Val/dog/1.png", "TEST/dog/1.png"
    )
    found, _ = scan_folder(tmp_path)
    assert {split: len(entries) for split, entries in found.items()} == {"test": 1, "validation": 2, "train": 2}
    assert names(found["validation"]) == [("cat", "Val/cat/1.png"), ("dog", "Val/dog/1.png")]


def test_korean_names_are_the_same_class_in_both_unicode_forms(tmp_path):
    composed, decomposed = unicodedata.normalize("NFC", "고양이"), unicodedata.normalize("NFD", "고양이")
    assert composed != decomposed
    put(
        tmp_path,
        f"train/{composed}/나비.png",
        "train/개 (작은)/1.png",
        f"test/{decomposed}/나비.png",
        "test/개 (작은)/2.png",
    )
    found, _ = scan_folder(tmp_path)
    assert (
        {entry.label for entry in found["train"]} == {entry.label for entry in found["test"]} == {composed, "개 (작은)"}
    )
    decomposed_file = next(entry for entry in found["test"] if entry.label == composed)
    assert decomposed_file.name == f"test/{composed}/나비.png"
    put(tmp_path, f"train/{decomposed}/other.png")
    assert scan_folder(tmp_path)[1] == [
        f"folders whose names differ by Unicode form alone are one class: train/{composed}"
    ]
    assert os.path.isfile(decomposed_file.path)


def test_a_name_in_an_old_encoding_is_refused_by_name(tmp_path):
    from hf_imgcls.data.rows import load_entries

    put(tmp_path, "cat/1.png", "dog/1.png")
    os.rename(tmp_path / "cat", os.fsencode(tmp_path) + b"/\xb0\xed\xbe\xe7\xc0\xcc")
    with pytest.raises(InputError, match=r"udcb0.*is not UTF-8; rename it"):
        load_entries(scan_folder(tmp_path)[0]["train"])


def test_skipped_files_are_noted(tmp_path):
    put(tmp_path, "cat/1.png", "dog/1.png", "SOURCE.md", "Thumbs.db", "loose.png", "cat/Thumbs.db", "cat/notes.txt")
    put(tmp_path, ".ipynb_checkpoints/1.png", "cat/.ipynb_checkpoints/1.png", "cat/.DS_Store", "__MACOSX/cat/1.png")
    (tmp_path / "fox").mkdir()
    found, notes = scan_folder(tmp_path)
    assert names(found["train"]) == [("cat", "cat/1.png"), ("dog", "dog/1.png")]
    assert notes == [
        "skipped 4 hidden files: .ipynb_checkpoints, __MACOSX, cat/.DS_Store, cat/.ipynb_checkpoints",
        "skipped 4 non-image files: SOURCE.md, Thumbs.db, cat/Thumbs.db, cat/notes.txt",
        "skipped 1 image outside class folders: loose.png",
        "skipped 1 class folder without images: fox/",
    ]


def test_training_runs_are_no_classes(tmp_path):
    run = ["recipe.json", "splits.json", "plots/1.png", "checkpoint-1/2.png"]
    put(tmp_path, "cat/1.png", "dog/1.png", "dog/recipe.json", *(f"{at}/{f}" for at in ("old", "cat/new") for f in run))
    found, notes = scan_folder(tmp_path)
    assert names(found["train"]) == [("cat", "cat/1.png"), ("dog", "dog/1.png")]
    assert notes == ["skipped 1 non-image file: dog/recipe.json", "skipped 2 training runs: cat/new/, old/"]
    put(tmp_path / "both", "train/cat/1.png", "train/dog/1.png", *(f"runs/a/{f}" for f in run))
    assert scan_folder(tmp_path / "both")[1] == ["skipped 1 training run: runs/a/"]
    with pytest.raises(InputError, match="old is the folder of a training run"):
        scan_folder(tmp_path / "old")


def test_a_long_list_of_stray_files_is_cut_short(tmp_path):
    put(tmp_path, "cat/1.png", "dog/1.png", *(f"cat/{i}.txt" for i in range(7)))
    assert scan_folder(tmp_path)[1] == [
        "skipped 7 non-image files: cat/0.txt, cat/1.txt, cat/2.txt, cat/3.txt, cat/4.txt and 2 more"
    ]


def test_a_file_without_an_image_suffix_is_judged_by_its_content(tmp_path):
    put(tmp_path, "cat/1.png", "dog/1.png", "dog/2.png", "cat/text.jpg", "cat/README")
    (tmp_path / "dog/2.png").rename(tmp_path / "dog/an image")
    found, notes = scan_folder(tmp_path)
    assert [name for _, name in names(found["train"])] == ["cat/1.png", "cat/text.jpg", "dog/1.png", "dog/an image"]
    assert notes == ["skipped 1 non-image file: cat/README"]


def test_links_that_lead_round_in_circles(tmp_path):
    root, elsewhere = (
        put(tmp_path / "photos", "cat/1.png", "cat/deep/2.png", "dog/1.png"),
        put(tmp_path / "other", "3.png"),
    )
    (root / "cat/deep/up").symlink_to(root / "cat")
    (root / "cat/top").symlink_to(root)
    (root / "cat/above").symlink_to("../../..")
    (root / "cat/itself").symlink_to("itself")
    (root / "cat/more").symlink_to(elsewhere)
    (root / "cat/more again").symlink_to(elsewhere)
    (root / "dog/gone.png").symlink_to("nowhere.png")
    found, notes = scan_folder(root)
    assert [name for _, name in names(found["train"])] == [
        "cat/1.png",
        "cat/deep/2.png",
        "cat/more/3.png",
        "dog/1.png",
        "dog/gone.png",
    ]
    assert found["train"][-1].size == -1
    assert notes == ["skipped 1 non-image file: cat/itself"]


def test_a_pipe_is_no_image_and_is_not_waited_for(tmp_path):
    put(tmp_path, "cat/1.png", "dog/1.png")
    os.mkfifo(tmp_path / "cat/pipe")
    assert scan_folder(tmp_path)[1] == ["skipped 1 non-image file: cat/pipe"]


def test_kaggles_test_folder_without_classes_is_skipped(tmp_path):
    put(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png")
    found, notes = scan_folder(tmp_path)
    assert list(found) == ["train"]
    assert notes == [
        "skipped 2 images outside class folders: test/1.png, test/2.png",
        "skipped 1 class folder without images: test/",
    ]


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (["notes.txt"], "no class folders with images in it"),
        (["1.png", "2.png"], "no class folders with images in it"),
        (["train/1.png", "test/cat/1.png"], "train: no class folders with images in it"),
        (
            ["PetImages/Cat/1.png", "PetImages/Dog/1.png"],
            r"only one class folder, 'PetImages'.*data.path=.*/PetImages meant",
        ),
        (["train/cat/1.png", "fox/1.png"], "the folder 'fox' with images lies beside the split folder 'train'"),
        (["bus/1.png", "train/1.png"], "'bus' .* beside the split folder 'train'; .* if 'train' is a class, rename"),
        (["train/cat/1.png", "val/cat/1.png", "valid/cat/1.png"], "'val' and 'valid' are the same split; keep one"),
        (["train/train/cat/1.png", "train/train/dog/1.png"], "holds a folder 'train', which is the name of a split"),
    ],
)
def test_folders_that_are_refused(tmp_path, files, line):
    with pytest.raises(InputError, match=line) as caught:
        scan_folder(put(tmp_path, *files))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
