"""Which images cannot be read: judged by a full read, reported, remembered."""

import csv
import errno
import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
import pytest
from conftest import make_image
from PIL import Image
from test_decode import JPEGS, harmed
from test_read import AWKWARD as STRANGE
from transformers.image_utils import load_image

from hf_imgcls.data import check as bad_images
from hf_imgcls.data import rows as data_rows
from hf_imgcls.data.check import check_images, check_split, limits_of, refuse_bad_images, verdict
from hf_imgcls.data.rows import BadImage, Data, entry, load_entries
from hf_imgcls.data.splits import fingerprint
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images import Limits, UnusableImage, files, read, read_usable
from hf_imgcls.images.read import read_image, why_unreadable
from hf_imgcls.recipe import DataSection
from hf_imgcls.store import cache_folder, write_csv

SHARED = Path(os.environ.get("HF_IMGCLS_SHARED", Path(__file__).parents[3] / "shared"))
AWKWARD = SHARED / "datasets/awkward-images"


def jpeg(number: int = 0) -> bytes:
    stream = io.BytesIO()
    make_image("red", number, (64, 48)).save(stream, "JPEG")
    return stream.getvalue()


def judge(content: bytes | None, path: str | None = None) -> dict[str, str]:
    return verdict({"bytes": content, "path": path})


def without_jfif() -> bytes:
    """A good JPEG that the common trick of looking for "JFIF" throws away."""
    content = jpeg()
    start = content.index(b"\xff\xe0")
    length = int.from_bytes(content[start + 2 : start + 4], "big")
    return content[:start] + content[start + 2 + length :]


@pytest.mark.parametrize("content", [jpeg(), without_jfif(), jpeg() + b"more"], ids=["plain", "no JFIF", "more"])
def test_good_images(content):
    found = judge(content)
    assert found["reason"] == ""
    assert len(found["digest"]) == 32


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (jpeg()[:-500], r"OSError: image file is truncated"),
        (jpeg()[:100], r"OSError: Truncated File Read"),
        (b"", r"not an image, or its header is broken"),
        (b"<html>404 not found</html>", r"not an image, or its header is broken"),
    ],
    ids=["cut", "cut early", "empty", "a web page"],
)
def test_bad_images_say_why(content, reason):
    found = judge(content)
    assert re.match(reason, found["reason"])
    assert found["digest"] == ""
    assert "\n" not in found["reason"]


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    assert judge(None, str(tmp_path / "gone.jpg"))["reason"] == "no such file"
    assert judge(None, str(tmp_path / "itself.jpg"))["reason"] == "a link that leads to itself"
    assert judge(None, str(tmp_path))["reason"] == "a folder, not a file"
    assert judge(None, None)["reason"] == "no image in this row"
    assert verdict(None)["reason"] == "no image in this row"


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def with_alpha(alpha: int) -> Image.Image:
    image = make_image("red", 0, (8, 6)).convert("RGBA")
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize(
    ("content", "lost"),
    [
        (encoded(make_image("red", 0)), ""),
        (encoded(make_image("red", 0).convert("L")), ""),
        (encoded(make_image("red", 0).convert("CMYK"), "JPEG"), ""),
        (encoded(with_alpha(255)), ""),
        (encoded(with_alpha(128)), "alpha channel dropped"),
        (encoded(make_image("red", 0).quantize(4), transparency=bytes([0])), "alpha channel dropped"),
        (encoded(Image.fromarray(np.full((6, 8), 200, np.uint16))), "clipped to 8 bits per channel"),
        (encoded(make_image("red", 0).convert("F"), "TIFF"), "clipped to 8 bits per channel"),
    ],
    ids=["rgb", "grey", "cmyk", "opaque", "alpha", "palette", "16 bits", "floats"],
)
def test_what_the_conversion_to_rgb_loses_is_noted(content, lost):
    assert judge(content) | {"digest": "", "file": ""} == {"reason": "", "digest": "", "lost": lost, "file": ""}


@pytest.mark.parametrize("highest", [255, 256, 65535])
@pytest.mark.parametrize("bright", [1, 2])
def test_a_16_bit_image_is_skipped_where_reading_it_as_pipeline_does_would_clip_it(highest, bright):
    """One pixel in a hundred may be overexposed; what is clipped beyond that is another image."""
    values = np.full((10, 10), 90, np.uint16)
    values.flat[:bright] = highest
    content = encoded(Image.fromarray(values))
    assert np.asarray(read_image({"bytes": content, "path": None})).max() == 255
    reason = judge(content)["reason"]
    if highest > 255 and bright > 1:
        expected = (
            f"white or black in 2 % of its pixels, as pipeline reads it: its values, 90 to {highest:,}, are clipped"
        )
        assert reason.startswith(expected)
    else:
        assert reason == ""


def test_the_lines_of_the_documentation_scale_16_bit_images(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    code = page.partition("<!-- example: 16-bit -->")[2].partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / "cat").mkdir(parents=True)
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save("deep/cat/1.png")
    assert judge(None, str(tmp_path / "deep" / "cat" / "1.png"))["reason"].startswith("white or black")
    exec(code, {})
    scaled = str(tmp_path / "photos" / "cat" / "1.png")
    assert judge(None, scaled)["reason"] == ""
    assert np.asarray(read_image({"bytes": None, "path": scaled}))[0, :, 0].tolist() == [0, 128, 255]


def full_read(content: bytes) -> str:
    """What is wrong with an image as training and serving would find it."""
    try:
        read_usable({"bytes": content, "path": None}, Limits())
    except Exception as error:
        return why_unreadable(error)
    return ""


@pytest.mark.parametrize("name", [*JPEGS, *STRANGE])
def test_the_verdict_is_that_of_a_full_read_whatever_is_broken(name, tmp_path):
    """A JPEG is judged at an eighth of its size."""
    if name in JPEGS:
        content = JPEGS[name]()["bytes"]
    else:
        STRANGE[name](tmp_path / name)
        content = (tmp_path / name).read_bytes()
    random = np.random.default_rng(list(content[:64]))
    reason = judge(content)["reason"]
    assert reason == full_read(content)
    assert reason == "" or (name == "grey16.png" and reason.startswith("white or black in"))
    broken = [harmed(content, random) for _ in range(24)] + [content[:-n] for n in (1, 2, 3, 30)]
    reasons = [full_read(each) for each in broken]
    assert [judge(each)["reason"] for each in broken] == reasons
    assert any(reasons)


def outcome_table() -> dict[str, bool]:
    """File -> whether it is good, from the table that came with the files."""
    lines = [line.split("|") for line in (AWKWARD / "SOURCE.md").read_text(encoding="utf-8").splitlines()]
    return {cells[1].strip(): cells[5].strip().startswith("loads") for cells in lines[6:] if len(cells) > 6}


@pytest.mark.skipif(not AWKWARD.is_dir(), reason="the shared images are not here; HF_IMGCLS_SHARED names their folder")
def test_strange_and_broken_files_get_the_verdict_of_their_table():
    table = outcome_table()
    good = {name: not judge(None, str(AWKWARD / name))["reason"] for name in table}
    assert len(table) == 28
    assert good == table


def rows(folder: Path, contents: list[bytes]):
    folder.mkdir(exist_ok=True)
    entries = []
    for number, content in enumerate(contents):
        file = folder / f"{number}.jpg"
        if not file.exists() or file.read_bytes() != content:
            file.write_bytes(content)
        entries.append(entry(str(file), f"cat/{file.name}", "cat"))
    listed = load_entries(entries)
    return listed.remove_columns("label").add_column("label", [0] * len(listed)).add_column("row", range(len(listed)))


def test_a_split_is_parted_into_good_and_bad(tmp_path):
    data = Data({"test": rows(tmp_path, [jpeg(0), b"", jpeg(1), jpeg(2)[:-500]])}, ["cat"])
    digests = check_split(data, "test").digests
    assert data.splits["test"]["name"][:] == ["cat/0.jpg", "cat/2.jpg"]
    assert [bad[:3] for bad in data.bad] == [("cat/1.jpg", "cat", "test"), ("cat/3.jpg", "cat", "test")]
    assert data.bad[0].reason == "not an image, or its header is broken"
    assert len(set(digests)) == 2
    assert data.fingerprints == {"test": fingerprint(["cat/0.jpg", "cat/2.jpg"], digests, ["cat", "cat"])}
    assert data.notes == []


def test_images_that_lose_something_are_counted(tmp_path):
    contents = [encoded(with_alpha(9)), encoded(with_alpha(10)), encoded(Image.fromarray(np.eye(6, dtype=np.uint16)))]
    data = Data({"train": rows(tmp_path, contents)}, ["cat"])
    check_split(data, "train")
    assert data.notes == [
        "train: alpha channel dropped in 2 images",
        "train: clipped to 8 bits per channel in 1 image",
    ]


def test_a_split_without_a_single_good_image(tmp_path):
    with pytest.raises(InputError, match=r"none of the 2 images of train can be read; the first, cat/0.jpg: not an"):
        check_split(Data({"train": rows(tmp_path, [b"", b"1"])}, ["cat"]), "train")


@pytest.fixture
def reads(monkeypatch):
    """The images that are read while a test runs."""
    read, real = [], bad_images._read
    monkeypatch.setattr(
        bad_images, "_read", lambda value, limits: read.append(Path(value["path"]).name) or real(value, limits)
    )
    return read


def test_the_second_check_reads_nothing_until_a_file_changes(tmp_path, reads):
    contents = [jpeg(0), jpeg(1)]
    before = check_images(rows(tmp_path, contents), "train")["digest"][:]
    assert reads == ["0.jpg", "1.jpg"]
    assert check_images(rows(tmp_path, contents), "train")["digest"][:] == before
    assert len(reads) == 2
    contents[1] = b"x" * len(contents[1])  # as long as before
    after = check_images(rows(tmp_path, contents), "train")
    assert after["digest"][:] == [before[0], ""]
    assert len(reads) == 4


@pytest.mark.parametrize("library", ["PIL", "transformers"])
def test_another_version_of_what_reads_images_reads_them_again(library, tmp_path, reads, monkeypatch):
    check_images(rows(tmp_path, [jpeg(0)]), "train")
    monkeypatch.setattr(getattr(read, library), "__version__", "0.0.1")
    check_images(rows(tmp_path, [jpeg(0)]), "train")
    assert reads == ["0.jpg", "0.jpg"]


@pytest.mark.parametrize("damage", ["verdicts", "index"])
def test_a_damaged_cache_is_computed_again(damage, tmp_path, reads):
    before = check_images(rows(tmp_path, [jpeg(0), b""]), "train")[:]
    for file in (cache_folder() / damage).glob("*/*.arrow"):
        file.write_bytes(file.read_bytes()[:-9])
    assert check_images(rows(tmp_path, [jpeg(0), b""]), "train")[:] == before
    assert len(reads) == (4 if damage == "verdicts" else 2)


@pytest.mark.parametrize("error", [TypeError, AttributeError, NameError])
def test_a_bug_is_no_bad_image(error, monkeypatch):
    def fail(*arguments) -> str:
        raise error

    monkeypatch.setattr(bad_images, "_read", fail)
    with pytest.raises(error):
        judge(jpeg())


def test_exhausted_memory_is_one_line_and_no_bad_image(monkeypatch):
    def fail(file):
        raise MemoryError

    monkeypatch.setattr(PIL.Image, "open", fail)
    with pytest.raises(ReadError, match=r"a.jpg: the memory does not suffice; free some memory"):
        judge(jpeg(), "a.jpg")


@pytest.mark.parametrize("error", [TypeError, AttributeError, SyntaxError, struct.error, zlib.error, RuntimeError])
def test_whatever_pillow_raises_is_a_bad_image(error, monkeypatch):
    def fail(file):
        raise error("damaged")

    monkeypatch.setattr(PIL.Image, "open", fail)
    assert "damaged" in judge(jpeg())["reason"]


def test_faults_of_the_machine_are_no_verdict_and_not_cached(tmp_path, monkeypatch):
    listed, real = rows(tmp_path, [jpeg(0), jpeg(1)]), files.os.open
    before = sorted((cache_folder() / "verdicts").glob("*"))

    def failing(number: int):
        def fail(path, *more, **options):
            if str(path).endswith("1.jpg"):
                raise OSError(number, os.strerror(number))
            return real(path, *more, **options)

        return fail

    for number in (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT):
        monkeypatch.setattr(files.os, "open", failing(number))
        with pytest.raises(ReadError, match=rf"1\.jpg: {os.strerror(number)}; .*run the same command again$"):
            check_images(listed, "train")
    monkeypatch.setattr(files.os, "open", real)
    assert sorted((cache_folder() / "verdicts").glob("*")) == before
    moved = (tmp_path / "1.jpg").rename(tmp_path / "away")  # after it was listed, as where a drive is lost
    with pytest.raises(ReadError, match=r"1\.jpg: was there when the data were listed"):
        check_images(listed, "train")
    moved.rename(tmp_path / "1.jpg")
    assert check_images(listed, "train")["reason"][:] == ["", ""]


def test_only_regular_files_of_a_bearable_size_are_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "nowhere.jpg").symlink_to("gone")
    with (tmp_path / "large.jpg").open("wb") as stream:
        stream.truncate(files.MAX_BYTES + 1)
    reasons = {
        name: judge(None, str(tmp_path / f"{name}.jpg"))["reason"] for name in ("pipe", "zero", "nowhere", "large")
    }
    assert reasons == {
        "pipe": "a pipe, socket or device, not a file",
        "zero": "a pipe, socket or device, not a file",
        "nowhere": "a link to a file that does not exist",
        "large": "larger than 1,074 MB",
    }
    for name in ("a\0b.jpg", "no/a.jpg"):
        assert judge(None, str(tmp_path / name))["reason"] == "no such file"


def deep(low: float, high: float, kind: str) -> Image.Image:
    return Image.fromarray(np.linspace(low, high, 1600).reshape(40, 40).astype(kind))


GLYPH = Image.merge("LA", [Image.new("L", (40, 40)), Image.linear_gradient("L").resize((40, 40))])


@pytest.mark.parametrize(
    ("image", "kind", "reason"),
    [
        (deep(6000, 9500, "u2"), "PNG", "white or black throughout"),
        (deep(0, 1, "f4"), "TIFF", "white or black throughout"),
        (deep(-9000, -100, "i4"), "TIFF", "white or black throughout"),
        (GLYPH, "PNG", "white or black throughout .* alpha channel"),
        (deep(0, 255, "u2"), "PNG", "^$"),
        (deep(0, 60000, "u2").point(lambda v: v * 0), "PNG", "^$"),  # black from the beginning
        (Image.new("1", (20000, 2)), "PNG", r"20000x2 pixels: one side is 10,000 times .* max_aspect_ratio=100$"),
        (Image.new("1", (2, 300)), "GIF", r"one side is 150 times"),
        (Image.new("1", (9500, 9500)), "PNG", r"9500x9500 pixels, more than max_pixels=89478485$"),
    ],
)
def test_images_of_which_nothing_is_left_or_that_are_too_large_are_bad(image, kind, reason):
    content = encoded(image, kind)
    found = judge(content)["reason"]
    assert re.search(reason, found)
    assert len(found) < 200
    if found:  # prediction and the demo decide alike
        with pytest.raises(UnusableImage, match=f"^{re.escape(found)}$"):
            read_usable({"bytes": content, "path": None}, Limits())


def test_the_limits_can_be_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)
    listed = rows(tmp_path, [encoded(Image.new("1", (400, 2))), encoded(Image.new("1", (50, 50)))])
    reasons = check_images(listed, "train", Limits(2000, 100))["reason"][:]
    assert [bool(reason) for reason in reasons] == [True, True]
    section = DataSection(path="x", max_pixels=2500, max_aspect_ratio=200)
    assert check_images(listed, "train", limits_of(section))["reason"][:] == ["", ""]


def test_damaged_exif_data_are_named_and_pipeline_fails_on_them_too():
    turned = b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    resolution = b"\x1a\x01\x0a\0\x01\0\0\0&\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0"  # -1 / 0
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + turned + resolution
    content = encoded(make_image("red", 0, (64, 48)), "JPEG", exif=exif)
    assert judge(content)["reason"].startswith("damaged EXIF data")
    with pytest.raises(struct.error):
        load_image(Image.open(io.BytesIO(content)))


def test_several_processes_find_the_same(tmp_path, monkeypatch):
    contents = [jpeg(0), b"", jpeg(1), jpeg(2)[:-500], jpeg(3)]
    alone = check_images(rows(tmp_path / "alone", contents), "train")
    monkeypatch.setattr(bad_images, "_ROWS_PER_PROCESS", 2)
    monkeypatch.setattr(data_rows.joblib, "cpu_count", lambda: 2)
    together = check_images(rows(tmp_path / "together", contents), "train")
    assert len(together.cache_files) == 2
    assert together["reason"][:] == alone["reason"][:]
    assert together["digest"][:] == alone["digest"][:]


def test_refusing_names_the_first():
    refuse_bad_images([])
    bad = [BadImage("cat/1.jpg", "cat", "train", "no such file"), BadImage("2", "dog", "test", "broken")]
    with pytest.raises(InputError) as caught:
        refuse_bad_images(bad)
    assert str(caught.value) == (
        "data: cat/1.jpg (train, cat) cannot be read: no such file (and 1 more); data.bad_images=drop trains without it"
    )


def test_the_report_is_csv(tmp_path):
    bad = [BadImage('고양이/a "b",\n\x1b\ud800.jpg', "=고양이()", "train", "no such file")]
    shown = [r'고양이/a "b",\n\x1b\ud800.jpg', "'=고양이()", "train", "no such file"]
    for found, rows in ((bad, [shown]), ([], [])):
        write_csv(tmp_path / "bad.csv", BadImage._fields, found)
        with (tmp_path / "bad.csv").open(encoding="utf-8", newline="") as stream:
            assert list(csv.reader(stream)) == [["file", "label", "split", "reason"], *rows]
