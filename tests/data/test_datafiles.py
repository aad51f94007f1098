"""Which files of a folder hold data, and for which split."""

import errno
import io
import logging
import tarfile
import zlib

import datasets
import pyarrow as pa
import pytest
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HTTPError

from hf_imgcls.data.datafiles import find_files, load_files, reason, split_files
from hf_imgcls.data.formats import check_tars, packed
from hf_imgcls.data.sources import open_source
from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.recipe.sections import DataSection


def put(root, *names: str):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a\n1\n")
    return root


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["labels.csv"], {"train": ["labels.csv"]}),
        (["b.csv", "a.csv"], {"train": ["a.csv", "b.csv"]}),
        (["train.csv", "test.csv"], {"train": ["train.csv"], "test": ["test.csv"]}),
        (["my_TRAIN_v2.tsv", "my_val_v2.tsv"], {"train": ["my_TRAIN_v2.tsv"], "validation": ["my_val_v2.tsv"]}),
        (
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "dataset_infos.json"],
            {"train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]},
        ),
        (
            ["train/metadata.csv", "train/other.csv", "test/metadata.csv"],
            {"train": ["train/metadata.csv"], "test": ["test/metadata.csv"]},
        ),
        (["metadata.jsonl", "notes.json"], {"train": ["metadata.jsonl"]}),
        (["train-0000.tar", "train-0001.tar", "README.md"], {"train": ["train-0000.tar", "train-0001.tar"]}),
        (["cat/1.csv", ".hidden.csv", "._metadata.csv", "README.md"], {}),
    ],
)
def test_files_by_split(tmp_path, files, splits):
    put(tmp_path, *files)
    found, notes = split_files(find_files(tmp_path), tmp_path)
    assert {split: [str(p.relative_to(tmp_path)) for p in paths] for split, paths in found.items()} == splits
    assert notes == []


def test_files_without_a_split_beside_those_that_have_one_are_skipped(tmp_path):
    root = put(tmp_path, "train.csv", "sample_submission.csv")
    found, notes = split_files(find_files(root), root)
    assert list(found) == ["train"]
    assert notes == ["skipped 1 data file without a split in its name: sample_submission.csv"]


def test_files_of_several_kinds(tmp_path):
    with pytest.raises(InputError, match=r"holds data files of several kinds \(csv, parquet\); name one of them"):
        split_files(find_files(put(tmp_path, "a.csv", "b.parquet")), tmp_path)


def test_files_of_one_folder_are_one_part(tmp_path):
    put(tmp_path, "a.csv", "b.csv", "train/c.csv", "d.tsv")
    parts = load_files([tmp_path / name for name in ("a.csv", "b.csv", "d.tsv", "train/c.csv")], streaming=False)
    assert [(part.where.removeprefix(f"{tmp_path}"), len(part.rows), part.base) for part in parts] == [
        (" (a.csv, b.csv)", 2, tmp_path),
        ("/d.tsv", 1, tmp_path),
        ("/train/c.csv", 1, tmp_path / "train"),
    ]


@pytest.mark.parametrize("name", ["photos [2024]", "photos*", "photos?", "{a,b}"])
def test_a_folder_whose_name_is_a_pattern_is_that_folder_alone(name, tmp_path):
    put(tmp_path, f"{name}/a.csv", "photos 2/a.csv", "photosX/a.csv", "a/a.csv")
    (tmp_path / name / "a.csv").write_text("a\n7\n")
    for streaming in (False, True):
        (part,) = load_files([tmp_path / name / "a.csv"], streaming)
        assert [row["a"] for row in part.rows] == [7]


def write_classes(file, names: list[str]):
    """Two rows of the classes in this order, as another program may number them."""
    features = datasets.Features(x=datasets.Value("int64"), label=datasets.ClassLabel(names=names))
    datasets.Dataset.from_dict({"x": [0, 1], "label": [0, 1]}, features=features).to_parquet(file)
    return file


@pytest.mark.parametrize("streaming", [False, True])
def test_files_of_one_split_that_number_the_classes_otherwise_are_refused(streaming, tmp_path):
    files = [write_classes(tmp_path / f"{i}.parquet", names) for i, names in enumerate((["a", "b"], ["a", "b"]))]
    assert [row["label"] for row in load_files(files, streaming)[0].rows] == [0, 1, 0, 1]
    write_classes(files[1], ["b", "a"])
    with pytest.raises(InputError, match=r"1.parquet has the classes b, a in its column 'label', the first file a, b;"):
        load_files(files, streaming)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "json"),
        ("a.parquet", b"PAR1 and nothing more", "parquet"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_damaged_files_are_named_in_a_line(tmp_path, name, content, kind, streaming):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_files([tmp_path / name], streaming)
    assert str(caught.value).startswith(f"data.path: {tmp_path / name} cannot be read as {kind}: ")
    assert "\n" not in str(caught.value)


NOT_UTF8 = "is not encoded as UTF-8 (byte 0xc6); save it as UTF-8 ('CSV UTF-8' in a spreadsheet program)"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", b"", "has no rows"),
        ("a.csv", b"image,label\n", "has no rows"),
        ("a.jsonl", b"", "has no rows"),
        ("a.csv", "파일,라벨\n".encode("euc-kr"), NOT_UTF8),
        ("a.tar", b"no archive at all", "is no tar archive, or a damaged one"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_faults_that_datasets_has_no_words_for(tmp_path, name, content, line, streaming):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_files([tmp_path / name], streaming)
    assert str(caught.value) == f"data.path: {tmp_path / name} {line}"


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"a,b\n1,\xe9\n"), ("a.jsonl", b'{"a": 1}\n{"a": \n'), ("a.parquet", b"PAR1 no more")],
)
def test_what_is_raised_is_not_logged_too(tmp_path, name, content, caplog):
    (tmp_path / name).write_bytes(content)
    before = datasets.logging.get_verbosity()
    logging.getLogger("datasets").addHandler(caplog.handler)  # which passes nothing on to the root
    try:
        with pytest.raises(InputError):
            load_files([tmp_path / name], streaming=False)
    finally:
        logging.getLogger("datasets").removeHandler(caplog.handler)
    assert caplog.records == []
    assert datasets.logging.get_verbosity() == before


@pytest.mark.parametrize(("name", "sep"), [("a.csv", ";"), ("a.csv", "\t"), ("a.csv", "|"), ("a.tsv", ",")])
def test_columns_are_parted_by_what_parts_the_first_line(tmp_path, name, sep):
    (tmp_path / name).write_text(f"image{sep}label\na.jpg{sep}x\n")
    assert load_files([tmp_path / name], streaming=True)[0].rows.column_names == ["image", "label"]


def test_a_comma_in_the_first_line_parts_the_columns(tmp_path):
    (tmp_path / "a.csv").write_text("image,label;kind\na.jpg,x;y\n")
    (tmp_path / "b.csv").write_text("image;label\na.jpg;x,y\n")
    parts = load_files([tmp_path / "a.csv", tmp_path / "b.csv"], streaming=True)
    assert [part.rows.column_names for part in parts] == [["image", "label;kind"], ["image", "label"]]


def write_tar(file, names: list[str]) -> None:
    with tarfile.open(file, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"0"))


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["22.0/red.0.png", "22.0/red.0.cls", "22.0/blue.0.png", "22.0/blue.0.cls"], None),
        (["22.0/red.0.png", "22.0/red.0.cls", "22.0/red.1.png"], "22.0/red.0.png has a dot before its ending, but"),
        (["r.0.png", "r.0.cls", "b.0.png", "b.0.cls", "r.1.png"], "r.1.png has a dot before its ending, but a sample"),
        (["i.l.png", "i.r.png", "i.cls", "j.l.png", "j.r.png", "j.cls"], None),
        (["a.png", "b.png", "a.cls"], "the files of the sample 'a' do not follow each other (a.cls lies apart); write"),
        (["a.png", "a.cls", "b.jpg", "b.cls"], "images of several endings among its samples (a.png, b.jpg), of which"),
        (["a.png", "a.cls", "b.png"], "the sample 'b' has the files png, the sample 'a' cls, png; give each sample"),
        (["x/._a.png", "x/a.png", "x/._b.png", "x/b.png"], "x/._b.png is no image but what macOS adds to one; write"),
    ],
)
def test_samples_that_are_not_what_is_meant(tmp_path, names, line):
    write_tar(tmp_path / "t.tar", names)
    if line is None:
        check_tars([tmp_path / "t.tar"])
        return
    with pytest.raises(InputError) as caught:
        check_tars([tmp_path / "t.tar"])
    assert f"{tmp_path / 't.tar'}" in str(caught.value)
    assert line in str(caught.value)


def test_the_images_of_several_tars_have_one_ending(tmp_path):
    for name, ending in (("a.tar", "png"), ("b.tar", "jpg")):
        write_tar(tmp_path / name, [f"0.{ending}", "0.cls"])
    with pytest.raises(InputError, match=r"b.tar has images of several endings among its samples \(0.png, 0.jpg\)"):
        check_tars([tmp_path / "a.tar", tmp_path / "b.tar"])


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a.txt", "b.ZIP", "c.tar.gz"], "; unpack b.ZIP, c.tar.gz first and name"), (["a.txt", "a.tar"], "")],
)
def test_archives_are_to_be_unpacked(names, words):
    assert packed(names).startswith(words)
    assert bool(packed(names)) == bool(words)


def test_the_reason_is_the_innermost_cause_in_a_line():
    outside, inside = RuntimeError("outside"), ValueError("the first line\n   and the second")
    outside.__cause__ = inside
    assert reason(outside) == "ValueError: the first line and the second"
    assert reason(KeyError()) == "KeyError"


def failing(error: Exception):
    def load_dataset(*_, **__):
        raise error

    return load_dataset


def caused_by(cause: BaseException) -> DatasetsError:
    error = DatasetsError("while reading")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [pa.ArrowInvalid("x"), tarfile.ExtractError("x"), zlib.error("x"), HTTPError("x"), caused_by(KeyError("x"))],
)
def test_what_the_libraries_raise_is_a_user_error(error, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset_builder", failing(error))
    with pytest.raises(InputError, match=r"data.path: .*x.csv cannot be read as csv: \w+: '?x"):
        load_files([tmp_path / "x.csv"], streaming=False)


@pytest.mark.parametrize(
    "error",
    [
        TypeError(), AttributeError(), NameError(), MemoryError(), pa.lib.ArrowMemoryError(), caused_by(MemoryError()),
        caused_by(OSError(errno.ENOSPC, "No space left on device")),
    ],
    ids=repr,
)  # fmt: skip
def test_a_bug_and_what_the_machine_denies_is_no_fault_of_the_data(error, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset_builder", failing(error))
    of_the_machine = error.__cause__ or isinstance(error, pa.ArrowException)
    cause = MachineError if of_the_machine else type(error)
    with pytest.raises(cause):
        load_files([tmp_path / "x.csv"], streaming=False)
    with pytest.raises(cause):
        open_source(DataSection(path="someone/photos"))
