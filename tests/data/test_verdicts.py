"""What is no verdict on an image (bugs, exhausted memory, faults of the machine), and limits."""

import csv
import errno
import io
import os
import re
import struct
import zlib

import PIL
import pytest
from conftest import make_image
from PIL import Image
from test_bad_images import deep, encoded, jpeg, judge
from test_checked_splits import rows
from transformers.image_utils import load_image

from hf_imgcls.data import check as bad_images
from hf_imgcls.data import rows as data_rows
from hf_imgcls.data.check import check_images, limits_of, refuse_bad_images
from hf_imgcls.data.rows import BadImage
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images import Limits, UnusableImage, files, read_usable
from hf_imgcls.recipe import DataSection
from hf_imgcls.store import cache_folder, write_csv


@pytest.mark.parametrize("error", [TypeError, AttributeError, NameError])
def test_a_bug_is_no_bad_image(error, monkeypatch):
    def fail(*arguments) -> str:
        raise error

    monkeypatch.setattr(bad_images, "_read", fail)
    with pytest.raises(error):
        judge(jpeg())


def test_exhausted_memory_is_one_line_and_no_bad_image(monkeypatch):
    def fail(file, formats=None):
        raise MemoryError

    monkeypatch.setattr(PIL.Image, "open", fail)
    with pytest.raises(ReadError, match=r"a.jpg: the memory does not suffice; free some memory"):
        judge(jpeg(), "a.jpg")


@pytest.mark.parametrize("error", [TypeError, AttributeError, SyntaxError, struct.error, zlib.error, RuntimeError])
def test_whatever_pillow_raises_is_a_bad_image(error, monkeypatch):
    def fail(file, formats=None):
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
    for found, expected in ((bad, [shown]), ([], [])):
        write_csv(tmp_path / "bad.csv", BadImage._fields, found)
        with (tmp_path / "bad.csv").open(encoding="utf-8", newline="") as stream:
            assert list(csv.reader(stream)) == [["file", "label", "split", "reason"], *expected]
