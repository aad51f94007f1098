"""Which images cannot be read: judged by a full read, reported, remembered."""

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import make_image
from PIL import Image
from test_decode import JPEGS, harmed
from test_read import AWKWARD as STRANGE

from hf_imgcls.data.check import verdict
from hf_imgcls.images import Limits, read_usable
from hf_imgcls.images.read import read_image, why_unreadable

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
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), r"HEIC, which neither Pillow nor pipeline reads; save"),
    ],
    ids=["cut", "cut early", "empty", "a web page", "a phone's"],
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


def deep(low: float, high: float, kind: str) -> Image.Image:
    return Image.fromarray(np.linspace(low, high, 1600).reshape(40, 40).astype(kind))
