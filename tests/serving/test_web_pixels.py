"""The preprocessing of the web page: the model's own, bit for bit, in Python and in JavaScript."""

import base64
import itertools
import json
import shutil
import subprocess

import numpy as np
import pytest
from conftest import make_image
from tiny import PROCESSORS

from hf_imgcls.errors import InputError
from hf_imgcls.images.processors import process_image
from hf_imgcls.scoring import Rejection, sigmoid, softmax
from hf_imgcls.serving.onnx.pixels import prepare
from hf_imgcls.serving.web.pixels import _FILTERS, PagePixels, describe_page, page_pixels
from hf_imgcls.serving.web.write import _PAGE

ABOUT = {"height": 24, "width": 20, "scale": 1 / 255, "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}
CROP = {"height": 24, "width": 20}
RULES = [
    ({"height": 24, "width": 20}, {"crop": None}),
    ({"shorter_side": 25}, {"crop": {**CROP, "half_pixel": "down"}}),
    ({"shorter_side": 25}, {"crop": {**CROP, "half_pixel": "even"}}),
    ({"longer_side": 20}, {"crop": None, "pad": {"colour": [10, 200, 90]}}),
]


@pytest.mark.parametrize(
    ("name", "rounding"),
    [("CLIP", "torch"), ("MobileViT, blue first", "torch"), ("timm, letterbox", "pillow")],
)
def test_the_pages_pixels_are_those_of_the_image_processor(name, rounding):
    processor = PROCESSORS[name]()
    about = describe_page(processor)
    assert about["rounding"] == rounding
    for shape in ((101, 66), (31, 40)):
        photo = make_image("red", 3, shape)
        wanted = process_image(processor, photo).numpy()
        found = process_image(PagePixels(about), photo).numpy()
        assert found.dtype == wanted.dtype
        assert np.abs(found - wanted).max() < 1e-5, "a level is 0.01 or more"
    if rounding == "torch":
        assert np.abs(prepare(photo, about) - wanted).max() > 1e-3, "or Pillow's rounding would do"


def test_what_the_page_cannot_do_is_refused(monkeypatch):
    with pytest.raises(InputError, match=r"export: PPLCNetImageProcessor prepares images in a way of its own, which"):
        describe_page(PROCESSORS["PP-LCNet, blue first"]())
    nearest = {"resize": {"height": 24, "width": 24, "resample": "nearest"}}
    monkeypatch.setattr("hf_imgcls.serving.web.pixels.describe_pixels", lambda processor: nearest)
    with pytest.raises(InputError, match=r"export: ViTImageProcessor resizes by nearest, which the page cannot repr"):
        describe_page(PROCESSORS["ViT"]())


def in_node(script: str, given, folder):
    """What a script prints as JSON, with `given` and what pixels.js exports."""
    node = shutil.which("node")
    if not node:
        pytest.skip("no Node.js here: apt-get install nodejs")
    shutil.copy(_PAGE / "pixels.js", folder / "pixels.mjs")
    (folder / "given.json").write_text(json.dumps(given))
    code = 'import fs from "fs"; import { isNone, prepare, toScores } from "./pixels.mjs";\n'
    code += f'const given = JSON.parse(fs.readFileSync("given.json"));\n{script}\nconsole.log(JSON.stringify(found));'
    (folder / "script.mjs").write_text(code)
    done = subprocess.run([node, "script.mjs"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PREPARE = """
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const found = given.map(({ data, width, height, about }) =>
  Buffer.from(prepare({ data: bytes(data), width, height }, about).buffer).toString("base64"));
"""


def test_javascript_prepares_images_bit_for_bit_as_python(tmp_path):
    cases, wanted = [], []
    for rounding, shape in itertools.product(_FILTERS, ((101, 66), (31, 40), (17, 9))):
        photo = make_image("green", 1, shape)
        for number, (resample, (resize, rest)) in enumerate(itertools.product(_FILTERS[rounding], RULES)):
            order = ("RGB", "BGR")[number % 2]
            about = {**ABOUT, **rest, "channel_order": order, "rounding": rounding}
            about["resize"] = {**resize, "resample": resample}
            data = base64.b64encode(photo.tobytes()).decode()
            cases.append({"data": data, "width": photo.width, "height": photo.height, "about": about})
            wanted.append(page_pixels(photo, about))
    found = in_node(PREPARE, cases, tmp_path)
    assert len(cases) == 96
    for case, one, other in zip(cases, found, wanted, strict=True):
        pixels = np.frombuffer(base64.b64decode(one), np.float32).reshape(other.shape)
        assert np.array_equal(pixels, other), case["about"]
    assert len({each.tobytes() for each in wanted}) > 60, "rules that differ, but for those of images no larger"


def test_javascript_scores_logits_as_python(tmp_path):
    logits = np.array([[1.0, 2.0, 0.0], [-800, 900, 3], [0.1, 0.1, 0.1]], np.float32)
    rules = [
        {"by": by, "threshold": threshold} for by, threshold in [("score", 0.665), ("score", 0.666), ("energy", 2.4)]
    ]
    found = in_node(
        "const found = given.logits.map((each) => [toScores(each, 'softmax'), toScores(each, 'sigmoid'), "
        "toScores(each, 'none'), given.rules.map((rule) => isNone(each, rule)), isNone(each, undefined)]);",
        {"logits": logits.tolist(), "rules": rules},
        tmp_path,
    )
    for row, (soft, sigmoids, same, none, without) in zip(logits, found, strict=True):
        assert soft == pytest.approx(softmax(row[None])[0].tolist(), abs=1e-7)
        assert sigmoids == pytest.approx(sigmoid(row[None])[0].tolist(), abs=1e-7)
        assert same == row.tolist()
        wanted = []
        for rule in rules:
            _, confidence = Rejection(**rule).confidences(lambda row: row[None], row)
            wanted.append(bool(~(confidence[0] >= rule["threshold"])))
        assert (none, without) == (wanted, False)
