"""Parquet and tar files at addresses: the same rows as from a folder, streamed or downloaded; each fault one line."""

import contextlib
import functools
import io
import itertools

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import streamed
from conftest import make_image
from test_streaming import NAMES, numbers, parquet, to_numbers

from hf_imgcls.api import PackOptions, pack_data
from hf_imgcls.data import shards as reading
from hf_imgcls.data.load import load_data
from hf_imgcls.data.streaming import attach_transform
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.recipe import check_path
from hf_imgcls.recipe.sections import DataSection
from hf_imgcls.store import address_errors, find_stored, read_stored, write_stored


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr("hf_imgcls.data.shards._PAUSES", (0, 0))
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


@pytest.fixture(params=["memory", "s3"])
def upload(request, tmp_path):
    """Copies a folder to an address."""
    root = f"memory://{tmp_path.name}" if request.param == "memory" else None
    root = root or f"{request.getfixturevalue('bucket')}/{tmp_path.name}"

    return functools.partial(copy_to, root)


def copy_to(root, folder):
    for file in folder.rglob("*"):
        if file.is_file():
            write_stored(f"{root}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return root


def load(path, streaming=True, **keys):
    return load_data(DataSection(path=str(path), streaming=streaming, **keys))


def rows(split) -> list[dict]:
    return [{"image": row["image"]["bytes"], "label": row["label"], "row": row["row"]} for row in split]


@pytest.mark.parametrize("write", [streamed.write_parquet, streamed.write_tars])
def test_the_same_rows_as_from_the_folder(write, upload, tmp_path):
    (tmp_path / "data").mkdir()
    folder = write(tmp_path / "data", bad=())
    address = upload(folder)
    for streaming in (True, False) if address.startswith("memory") else (True,):
        here, there = (load(place, streaming, label_names=NAMES) for place in (folder, address))
        assert there.labels == here.labels == NAMES
        assert there.fingerprints == here.fingerprints
        assert there.splits.keys() == here.splits.keys()
        for role in here.splits:
            assert rows(there.splits[role]) == rows(here.splits[role])
    assert rows(there.splits["train"])


@pytest.fixture
def shards(tmp_path):
    """The address of forty rows in four files."""
    for i in range(4):
        parquet(tmp_path / "data" / f"train-{i}.parquet", range(10 * i, 10 * i + 10))
    return copy_to(f"memory://{tmp_path.name}", tmp_path / "data")


def test_workers_read_shards_of_their_own(shards):
    for workers in (0, 2):
        train = load(shards, label_names=NAMES).splits["train"]
        assert train.num_shards == 4
        assert sorted(numbers(train, workers)) == list(range(40))


def test_a_stream_goes_on_exactly_where_it_was(shards):
    def stream():
        found = attach_transform(load(shards, label_names=NAMES, shuffle_buffer=7).splits["train"], to_numbers)
        found.numbered = True
        found.set_epoch(1)
        return found

    whole = list(stream())
    resumed = stream()
    resumed.resume(1, [list(whole[16]["place"][1:])])
    rest = list(resumed)[17:]
    assert [row["number"] for row in rest] == [row["number"] for row in whole[17:]]
    assert sorted(row["number"] for row in whole) == list(range(40))


def test_processes_read_shards_of_their_own(shards):
    train = attach_transform(load(shards, label_names=NAMES, shuffle_buffer=3).splits["train"], to_numbers)
    assert train.part_of(0, 3) is None
    for epoch in (0, 1):
        parts = [train.part_of(process, 2) for process in range(2)]
        for part in parts:
            part.set_epoch(epoch)
        found = [[row["number"] for row in part] for part in parts]
        assert [len({number // 10 for number in each}) for each in found] == [2, 2]
        assert sorted(itertools.chain(*found)) == list(range(40))


@pytest.mark.parametrize("form", ["parquet", "tar"])
def test_files_of_the_working_directory_are_not_taken_for_images_of_their_names(
    form, make_folder, tmp_path, monkeypatch
):
    folder, places = make_folder(2), (f"memory://{tmp_path.name}", str(tmp_path / "packed"))
    for place in places:
        pack_data(folder, [], PackOptions(place, form))
    whole = [file.read_bytes() for file in sorted(folder.rglob("*.png"))]
    for file in folder.rglob("*.png"):
        make_image("red", 99).save(file)
    monkeypatch.chdir(folder)
    for place in places:
        for keys in ({"streaming": True}, {"streaming": False, "validation_fraction": 0}):
            train = load(place, label_names=NAMES, **keys).splits["train"]
            assert sorted(row["image"]["bytes"] for row in train) == sorted(whole)


def test_paths_in_place_of_images_are_refused(tmp_path):
    table = pa.table({"image": [{"bytes": None, "path": "cat/1.jpg"}], "label": [0]})
    pq.write_table(table, tmp_path / "x.parquet")
    write_stored(f"memory://{tmp_path.name}/x.parquet", (tmp_path / "x.parquet").read_bytes())
    for streaming in (True, False):
        with pytest.raises(InputError, match=r"has paths in its column 'image' \(cat/1.jpg\), not images"):
            load(f"memory://{tmp_path.name}", streaming, label_names=NAMES)


def test_slices_and_notes(shards):
    write_stored(f"{shards}/README.md", b"x")
    write_stored(f"{shards}/_MANIFEST", b"{}")
    data = load(shards, label_names=NAMES, train_split="train[:25]", validation_split="train[25:30]")
    assert [int(row["image"]["bytes"] is not None) for row in data.splits["validation"]] == [1] * 5
    assert any("skipped 1 other file: README.md" in note for note in data.notes)
    assert load(f"{shards}/train-1.parquet", label_names=NAMES).splits["train"].num_shards == 1


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            lambda a: fsspec.filesystem("memory").rm(f"{a}/train-3.parquet"),
            "train-3.parquet is gone while the data were",
        ),
        (lambda a: write_stored(f"{a}/train-2.parquet", b"x"), "train-2.parquet was changed while the data were read"),
    ],
)
def test_a_shard_that_goes_away_or_changes_ends_the_run(shards, fault, line):
    train = load(shards, label_names=NAMES).splits["train"]
    fault(shards)
    with pytest.raises(ReadError, match=line):
        list(attach_transform(train, to_numbers))


def test_shards_that_number_the_classes_otherwise_end_the_run(tmp_path, make_folder):
    place = f"memory://{tmp_path.name}/classes"
    pack_data(make_folder(2), [], PackOptions(place, shard_size=0.004))
    *_, last = (file.address for file in find_stored(place) if file.name.endswith(".parquet"))
    table = pq.read_table(io.BytesIO(read_stored(last)))
    features = datasets.Features.from_arrow_schema(table.schema)
    features["label"] = datasets.ClassLabel(names=features["label"].names[::-1])
    content = io.BytesIO()
    pq.write_table(table.cast(features.arrow_schema).replace_schema_metadata(features.arrow_schema.metadata), content)
    write_stored(last, content.getvalue())
    with pytest.raises(
        InputError, match=r"has the classes red, green, blue in its column 'label', the first file blue"
    ):
        list(attach_transform(load(place).splits["train"], to_numbers))
    with pytest.raises(InputError, match="has the classes red, green, blue in its column"):
        load(place, streaming=False)


def test_a_service_that_fails_for_a_while_is_asked_again(shards, monkeypatch):
    train = load(shards, label_names=NAMES, shuffle_buffer=1).splits["train"]
    left, inner = [1, 2], reading.open_stored

    @contextlib.contextmanager
    def failing(address):
        with inner(address) as file, address_errors(address):
            if left and address.endswith("1.parquet"):
                left.pop()
                raise TimeoutError("read timed out")
            yield file

    monkeypatch.setattr(reading, "open_stored", failing)
    assert sorted(row["number"] for row in attach_transform(train, to_numbers)) == list(range(40))
    assert not left
    left[:] = [1, 2, 3]
    with pytest.raises(ReadError, match=r"train-1.parquet: cannot be read at present \(TimeoutError: read timed out\)"):
        list(attach_transform(train, to_numbers))


def test_what_is_no_shards_is_refused_with_what_to_do(tmp_path):
    root = f"memory://{tmp_path.name}"
    for name in ("loose/1.jpg", "classes/cat/1.jpg", "mixed/a.tar", "mixed/b.parquet", "text/a.csv", "bad/a.tar",
                 "bad2/a.parquet"):  # fmt: skip
        write_stored(f"{root}/{name}", b"no shard, and long enough for a footer")
    lines = {
        "loose": r"holds loose images \(1.jpg\) and no .parquet or .tar file; .*hf-imgcls pack FOLDER --output",
        "classes": r"holds the folders cat and no .parquet .*hf-imgcls pack",
        "mixed": "holds Parquet and tar files; name one of them",
        "text": "no .parquet or .tar file there",
        "text/a.csv": "no .parquet or .tar file there",
        "bad": r"/bad/a.tar is no tar archive, or a damaged one",
        "bad2": r"/bad2/a.parquet cannot be read.*: ArrowInvalid",
        "none": "no such bucket or file",
    }
    for name, line in lines.items():
        for streaming in (True, False):
            with pytest.raises(InputError, match=line) as caught:
                load(f"{root}/{name}", streaming, label_names=NAMES)
            assert len(str(caught.value)) < 380


def test_a_folder_of_images_is_named_by_its_path(make_folder):
    with pytest.raises(InputError, match="name a folder of images by its path alone"):
        load(f"file://{make_folder(2)}", streaming=False)


def test_the_recipe_is_checked_without_asking_the_storage():
    check_path(DataSection(path="memory://nothing/there"))
    with pytest.raises(InputError, match="no such kind of address"):
        check_path(DataSection(path="s4://bucket/x"))


def test_packed_into_a_bucket(bucket, make_folder):
    folder, place = make_folder(2), f"{bucket}/packed/"
    manifest = pack_data(folder, [], PackOptions(place, shard_size=0.004))
    assert pack_data(folder, [], PackOptions(place, shard_size=0.004)) == manifest
    train = load(place).splits["train"]
    assert train.num_shards == 3
    assert len(numbers(train, workers=2)) == 6
