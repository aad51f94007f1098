"""Packing: the shards are read back as the rows of the folder, written once, resumed, and checked."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import datasets
import fsspec
import pyarrow.parquet as pq
import pytest
from conftest import COLOURS, make_image

from hf_imgcls.api import pack, packed_shards
from hf_imgcls.api.pack import PackOptions, pack_data
from hf_imgcls.data import load_data
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.recipe import DataSection
from hf_imgcls.store import find_stored, read_stored, write_stored

SMALL = 0.004  # MB: shards of two or three images


@pytest.fixture
def place(tmp_path):
    return f"memory://{tmp_path.name}/shards"


def content(place: str) -> dict[str, bytes]:
    return {file.name: read_stored(file.address) for file in find_stored(place)}


def images(split) -> list[bytes]:
    found = []
    for row in split:
        image = row["image"]
        found.append(image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes())
    return found


@pytest.mark.parametrize(
    ("form", "splits"), [("parquet", {"each": 6}), ("tar", {"train": 4, "validation": 2, "test": 2})]
)
def test_the_shards_are_the_rows_of_the_folder(form, splits, make_folder, place):
    folder = make_folder(**splits)
    manifest = pack_data(folder, [], PackOptions(place, form, SMALL))
    assert len(manifest["shards"]) > 3
    here = load_data(DataSection(path=str(folder), test_fraction=0.2))
    names = {"label_names": here.labels} if form == "tar" else {}
    there = load_data(DataSection(path=place, test_fraction=0.2, **names))
    assert there.labels == here.labels == manifest["labels"]
    assert there.fingerprints == here.fingerprints
    for role in here.splits:
        assert images(there.splits[role]) == images(here.splits[role])
        assert there.splits[role]["label"][:] == here.splits[role]["label"][:]
    streamed = load_data(DataSection(path=place, streaming=True, **names))
    assert streamed.labels == here.labels
    whole = load_data(DataSection(path=str(folder), validation_fraction=0)) if "each" in splits else here
    assert sorted(images(streamed.splits["train"])) == sorted(images(whole.splits["train"]))
    assert streamed.splits["train"].num_shards > 1


def test_a_table_with_groups_and_a_saved_dataset(tmp_path, make_folder, place):
    folder = make_folder(4)
    files = sorted(folder.rglob("*.png"))
    (folder / "table.csv").write_text(
        "image,kind,patient\n"
        + "".join(f"{f.relative_to(folder)},{f.parent.name},p{i % 5}\n" for i, f in enumerate(files))
    )
    keys = {"label_column": "kind", "group_column": "patient"}
    manifest = pack_data(folder / "table.csv", [f"data.{k}={v}" for k, v in keys.items()], PackOptions(place))
    assert manifest["images"] == {"train": 12}
    here = load_data(DataSection(path=str(folder / "table.csv"), **keys))
    there = load_data(DataSection(path=place, group_column="patient"))
    assert there.fingerprints == here.fingerprints
    saved = datasets.Dataset.from_dict(
        {"img": [{"bytes": f.read_bytes(), "path": None} for f in files], "y": [i % 2 for i in range(12)]},
        features=datasets.Features(img=datasets.Image(), y=datasets.ClassLabel(names=["no", "yes"])),
    )
    saved.save_to_disk(str(tmp_path / "saved"))
    for form in pack.FORMATS:
        assert pack_data(tmp_path / "saved", [], PackOptions(f"{place}-{form}", form))["labels"] == ["no", "yes"]
        back = load_data(DataSection(path=f"{place}-{form}", label_names=["no", "yes"], validation_fraction=0))
        assert images(back.splits["train"]) == [f.read_bytes() for f in files]
        assert back.splits["train"]["label"][:] == [i % 2 for i in range(12)]


@pytest.mark.parametrize("form", pack.FORMATS)
def test_the_same_images_make_the_same_bytes(form, make_folder, place):
    folder = make_folder(3)
    for each in ("a", "b"):
        pack_data(folder, [], PackOptions(f"{place}/{each}", form, SMALL))
    assert content(f"{place}/a") == content(f"{place}/b")
    assert len(content(f"{place}/a")) > 2


def test_only_what_is_missing_or_damaged_is_written_again(make_folder, place, monkeypatch):
    folder, written = make_folder(6), []

    def count(address, what):
        if len(written) == 4 and interrupted:  # the manifest, without and with its key, and two shards
            interrupted.pop()
            raise KeyboardInterrupt
        written.append(address.rpartition("/")[2])
        write_stored(address, what)

    monkeypatch.setattr(packed_shards, "write_stored", count)
    interrupted = [True]
    with pytest.raises(KeyboardInterrupt):
        pack_data(folder, [], PackOptions(place, shard_size=SMALL))
    assert len(content(place)) == 3
    written.clear()
    pack_data(folder, [], PackOptions(place, shard_size=SMALL))
    whole = content(place)
    shards = [name for name in whole if name != "_MANIFEST"]
    assert written == [*shards[2:], "_MANIFEST"]
    for fault in (lambda a: write_stored(a, whole[shards[1]][:-1] + b"x"), fsspec.filesystem("memory").rm):
        fault(f"{place}/{shards[1]}")
        written.clear()
        pack_data(folder, [], PackOptions(place, shard_size=SMALL))
        assert written == [shards[1], "_MANIFEST"]
        assert content(place) == whole
    known = json.loads(whole["_MANIFEST"])["shards"]
    assert {name: known[name]["sha256"] for name in shards} == {
        name: hashlib.sha256(whole[name]).hexdigest() for name in shards
    }


def test_what_is_there_already_is_refused(make_folder, place):
    folder = make_folder(2)
    write_stored(f"{place}/notes.txt", b"mine")
    with pytest.raises(InputError, match=r"holds other files already \(notes.txt\)"):
        pack_data(folder, [], PackOptions(place))
    write_stored(f"{place}2/_MANIFEST", b"{}")
    with pytest.raises(InputError, match="holds a _MANIFEST of something else"):
        pack_data(folder, [], PackOptions(f"{place}2"))
    pack_data(folder, [], PackOptions(f"{place}3"))
    make_image("red", 77).save(folder / "red" / "077.png")
    before = content(f"{place}3")
    with pytest.raises(InputError, match="was packed from other images, labels or options"):
        pack_data(folder, [], PackOptions(f"{place}3"))
    assert content(f"{place}3") == before
    assert content(place) == {"notes.txt": b"mine"}


def test_unreadable_images_are_skipped_and_named_or_refused(make_folder, place, capsys):
    folder = make_folder(3)
    (folder / "red" / "001.png").write_bytes(b"no image")
    manifest = pack_data(folder, [], PackOptions(place))
    assert [(bad["file"], bad["label"]) for bad in manifest["skipped"]] == [("red/001.png", "red")]
    assert "skipped 1 unreadable image: red/001.png (not an image, or its header is broken)" in capsys.readouterr().out
    (file,) = (name for name in content(place) if name != "_MANIFEST")
    assert pq.read_table(io.BytesIO(content(place)[file])).num_rows == 8
    with pytest.raises(InputError, match=r"red/001.png .* cannot be read"):
        pack_data(folder, ["data.bad_images=raise"], PackOptions(f"{place}2"))
    for file in folder.rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(InputError, match="none of the 9 images of train can be read"):
        pack_data(folder, [], PackOptions(f"{place}3"))


def test_an_image_that_changes_while_it_is_packed_is_not_packed(make_folder, place, monkeypatch):
    folder = make_folder(2)
    plan = pack.data.plan_shards

    def change(*arguments):
        make_image("red", 77).save(folder / "red" / "000.png")
        return plan(*arguments)

    monkeypatch.setattr(pack.data, "plan_shards", change)
    with pytest.raises(ReadError, match=r"red/000.png: was changed after it was checked"):
        pack_data(folder, [], PackOptions(place))


def test_names_in_a_tar(tmp_path, place):
    folder, names = tmp_path / "photos", ("a.b.png", "a_b.png", "A.PNG", "__c.png", "d.png", "e f.png")
    for colour in COLOURS:
        (folder / colour).mkdir(parents=True)
        for number, name in enumerate(names):
            make_image(colour, number).save(folder / colour / name)
    pack_data(folder, [], PackOptions(place, "tar"))
    (file,) = (name for name in content(place) if name != "_MANIFEST")
    with tarfile.open(fileobj=io.BytesIO(content(place)[file])) as archive:
        found = [name for name in archive.getnames() if name.startswith("red/")]
    assert [name for name in found if name.endswith(".png")] == [
        "red/A.png", "red/c.png", "red/a_b.png", "red/a_b-15.png", "red/d.png", "red/e f.png",
    ]  # fmt: skip
    assert found[1] == "red/A.cls"
    data = load_data(DataSection(path=place, label_names=sorted(COLOURS), validation_fraction=0))
    assert data.count_classes("train") == [6, 6, 6]
    make_image("red", 9).save(folder / "red" / "z.jpg")
    with pytest.raises(InputError, match=r"--format tar: the images have several endings .*; use --format parquet"):
        pack_data(folder, [], PackOptions(f"{place}2", "tar"))
    assert list(content(f"{place}2")) == ["_MANIFEST"]


def test_no_two_images_of_a_tar_have_one_name(tmp_path, place):
    for colour in COLOURS:
        (tmp_path / "photos" / colour).mkdir(parents=True)
        for number, name in enumerate(("a.b.png", "a_b-2.png", "a_b.png")):
            make_image(colour, number).save(tmp_path / "photos" / colour / name)
    pack_data(tmp_path / "photos", [], PackOptions(place, "tar"))
    data = load_data(DataSection(path=place, label_names=sorted(COLOURS), validation_fraction=0))
    assert data.count_classes("train") == [3, 3, 3]


def test_a_run_that_is_killed_leaves_no_shards_that_another_one_takes_for_its_own(make_folder, place, monkeypatch):
    folder, written = make_folder(6), []

    def write(address, what):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(address)
        write_stored(address, what)

    with monkeypatch.context() as patched:
        patched.setattr(packed_shards, "write_stored", write)
        with pytest.raises(KeyboardInterrupt):
            pack_data(folder, [], PackOptions(place, shard_size=SMALL))
    assert len(content(place)) == 4
    before = content(place)
    for size in (SMALL / 2, SMALL * 2):
        with pytest.raises(InputError, match="was packed from other images, labels or options"):
            pack_data(folder, [], PackOptions(place, shard_size=size))
    assert content(place) == before
    write_stored(f"{place}/_MANIFEST", b'{"key": null, "shards": {}}')  # as earlier versions left it
    with pytest.raises(InputError, match=r"holds other files already \(train-00000-of-"):
        pack_data(folder, [], PackOptions(place, shard_size=SMALL))


@pytest.mark.parametrize(("overrides", "images", "left_out"), [
    ([], (9, 6, 3), None),
    (["data.validation_split=test"], (9, 3), "validation"),
    (["data.train_split=train+validation", "data.validation_split=false"], (9, 6, 3), None),
    (["data.train_split=train[:50%]", "data.validation_split=train[50%:]"], (9, 6, 3), None),
    (["data.train_split=test", "data.test_split=train"], (3, 6, 9), None),
])  # fmt: skip
def test_each_split_is_packed_whole_and_none_in_the_place_of_another(
    overrides, images, left_out, make_folder, place, capsys
):
    manifest = pack_data(make_folder(train=3, validation=2, test=1), overrides, PackOptions(place))
    images = dict(zip(("train", "validation", "test"), images, strict=False))
    assert manifest["images"] == images
    assert {name: pq.read_table(io.BytesIO(each)).num_rows for name, each in content(place).items() if "-" in name} == {
        f"{split}-00000-of-00001.parquet": count for split, count in images.items()
    }
    line = f"the split {left_out} is left out: another one is {left_out}"
    assert (line in capsys.readouterr().out) == bool(left_out)


@pytest.mark.parametrize(("overrides", "options", "line"), [
    ([], {"format": "zip"}, "--format: found 'zip', expected parquet or tar"),
    ([], {"shard_size": 0}, "--shard-size: found 0, expected more than 0"),
    ([], {"shard_size": float("inf")}, "--shard-size: found inf, expected more than 0"),
    (["data.streaming=true", "training.max_steps=1"], {}, "data.streaming: pack reads"),
    (["data.group_column=x"], {"format": "tar"}, "data.group_column: a tar has no column"),
    ([], {"output": "s4://b/x"}, "s4://b/x: no such kind of address"),
])  # fmt: skip
def test_what_cannot_be_packed_is_one_line(overrides, options, line, make_folder):
    with pytest.raises(InputError, match=line):
        pack_data(make_folder(1), overrides, PackOptions(**{"output": "memory://never", **options}))


def test_a_folder_as_output_and_the_line_for_a_recipe(make_folder, tmp_path, capsys):
    folder = make_folder(2)
    with pytest.raises(InputError, match=r"^--output: .*packed would lie in .*, and be taken for data"):
        pack_data(folder, [], PackOptions(str(folder / "packed")))
    pack_data(folder, [], PackOptions(str(tmp_path / "packed [here]*"), "tar"))
    line = capsys.readouterr().out.splitlines()[-1]
    section = json.loads(line.partition('"data": ')[2].partition("; ")[0])
    file = tmp_path / "packed [here]*" / "_MANIFEST"
    assert file.is_file()
    assert section == {"path": str(tmp_path / "packed [here]*"), "streaming": True, "label_names": sorted(COLOURS)}
    with pytest.raises(InputError, match=r"_MANIFEST is a file; name a folder"):
        pack_data(folder, [], PackOptions(str(file)))
    assert load_data(DataSection(**section)).labels == sorted(COLOURS)
    del section["streaming"]
    assert load_data(DataSection(**section)).count_classes("train")
