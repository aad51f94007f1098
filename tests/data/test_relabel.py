"""Decisions on labels: applied to the splits in any order, refused where they cannot be meant."""

import shutil
from pathlib import Path

import datasets
import pytest

from hf_imgcls.data.load import load_data, load_split
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.places import check_path
from hf_imgcls.recipe.sections import DataSection

HEADING = "file,split,label,suggested,decision,probability"
LINES = [
    "red/001.png,train,red,blue,relabel,0.01",
    "red/002.png,validation,red,blue,Drop,0.02",
    "blue/000.png,train,blue,green,keep,0.3",
    "blue/004.png,train,blue,no class at all,,0.4",
]


@pytest.fixture
def photos(make_folder):
    return make_folder(8)


def decide(tmp_path, *lines: str, heading: str = HEADING, name: str = "decisions.csv"):
    file = tmp_path / name
    file.write_text("\n".join([heading, *lines, ""]), encoding="utf-8")
    return str(file)


def load(root, **keys):
    return load_data(DataSection(path=str(root), **keys))


def labels(data) -> dict:
    return {
        name: data.labels[label]
        for role, rows in data.splits.items()
        for name, label in zip(data.files[role], rows["label"][:], strict=True)
    }


@pytest.mark.parametrize("keys", [{}, {"folds": 2, "fold": 2}, {"test_fraction": 0.2}])
def test_labels_change_images_go_and_the_splits_stay_as_they_are(photos, tmp_path, keys):
    before, data = load(photos, **keys), load(photos, relabel=decide(tmp_path, *LINES), **keys)
    expected = {**labels(before), "red/001.png": "blue"}
    del expected["red/002.png"]
    assert labels(data) == expected
    for role in before.splits:
        left = [name for name in before.files[role] if name != "red/002.png"]
        assert data.files[role] == left
        changed = left != before.files[role] or "red/001.png" in left
        assert (data.fingerprints[role] != before.fingerprints[role]) == changed
    notes = [note for note in data.notes if "data.relabel" in note]
    assert sum(int(note.split()[1]) for note in notes) == 1
    again = load(photos, relabel=decide(tmp_path, *reversed(LINES), name="other.csv"), **keys)
    assert again.fingerprints == data.fingerprints
    if keys.get("folds"):
        pooled = dict(zip(data.pool.rows["name"][:], data.pool.rows["label"][:], strict=True))
        assert pooled == {name: data.labels.index(label) for name, label in expected.items()}
    assert (photos / "red/002.png").is_file()


def test_spreadsheets_save_with_other_separators_and_a_mark(photos, tmp_path):
    lines = [line.replace(",", ";") for line in LINES]
    file = decide(tmp_path, *lines, heading="\ufeff" + HEADING.replace(",", ";"))
    assert load(photos, relabel=file).fingerprints == load(photos, relabel=decide(tmp_path, *LINES)).fingerprints


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "red/0O1.png,,red,blue,keep",
            "line 2: 'red/0O1.png': no image of .* has this name; did you mean \"red/001.png\"",
        ),
        ("red/001.png,,red,bleu,relabel", "line 2: suggested is 'bleu', no class of train; did you mean \"blue\""),
        ("red/001.png,,green,blue,relabel", "label is 'green', but in the data it is 'red'"),
        ("red/001.png,,red,blue,remove", "decision is 'remove', expected relabel, drop, keep or nothing"),
        ("red/001.png,,red,blue,drop\nred/001.png,,red,blue,relabel", "lines 2 and 3: two decisions on 'red/001.png'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(photos, tmp_path, line, says):
    with pytest.raises(InputError, match=says) as error:
        load(photos, relabel=decide(tmp_path, line))
    assert len(str(error.value)) < 380


def test_files_that_are_no_decisions_and_streams_are_refused(photos, tmp_path):
    with pytest.raises(InputError, match="no column 'decision'"):
        load(photos, relabel=decide(tmp_path, heading="file,label,suggested"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        load(photos, relabel=str(tmp_path / "binary.csv"))
    decide(tmp_path)
    with pytest.raises(InputError, match=r"data.relabel: no such file .*; did you mean .*decisions.csv"):
        check_path(DataSection(path=str(photos), relabel=str(tmp_path / "decision.csv")))
    with pytest.raises(ValueError, match="relabel: its files are looked up among all images"):
        DataSection(path=str(photos), relabel="x.csv", streaming=True)
    everything = [f"{c}/{i:03}.png,,{c},,drop" for c in ("red", "green", "blue") for i in range(8)]
    with pytest.raises(InputError, match="drops all 22 images of train"):
        load(photos, relabel=decide(tmp_path, *everything))


def test_an_image_that_is_not_used_is_no_unknown_one(photos, tmp_path):
    data = load(photos, relabel=decide(tmp_path, *LINES), max_samples={"train": 3, "validation": 3})
    assert set(labels(data).values()) == {"red", "green", "blue"}
    shutil.copytree(photos, tmp_path / "both" / "train")
    shutil.copytree(photos, tmp_path / "both" / "test")
    section = DataSection(
        path=str(tmp_path / "both"),
        relabel=decide(tmp_path, "train/red/001.png,,red,blue,drop", "test/red/002.png,,red,blue,drop"),
    )
    assert len(load_split(section, "test", ["blue", "green", "red"]).splits["test"]) == 23


def test_rows_without_names_are_told_apart_by_their_split(photos, tmp_path):
    rows = datasets.load_dataset("imagefolder", data_dir=str(photos), split="train").cast_column(
        "image", datasets.Image(decode=False)
    )
    rows = rows.map(lambda row: {"image": {"bytes": Path(row["image"]["path"]).read_bytes(), "path": None}})
    datasets.DatasetDict(train=rows, test=rows).save_to_disk(str(tmp_path / "saved"))
    before = load(tmp_path / "saved")
    row = int(before.files["test"][0].removeprefix("row "))
    own = before.labels[rows["label"][row]]
    other = next(name for name in before.labels if name != own)
    line = f"row {row},test,{own},{other},relabel"
    data = load(tmp_path / "saved", relabel=decide(tmp_path, line))
    assert data.labels[data.splits["test"]["label"][0]] == other
    assert data.fingerprints["train"] == before.fingerprints["train"]
    with pytest.raises(InputError, match="several images have this name"):
        load(tmp_path / "saved", relabel=decide(tmp_path, line.replace(",test,", ",,")))
