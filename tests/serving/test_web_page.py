"""The web page in a real Chromium: images are read as in Python, stay there, and whatever comes is one line.

A stand-in for onnxruntime-web, whose logits are the means of blue, green and red.
"""

import contextlib
import http.server
import json
import shutil
from functools import partial

import numpy as np
import pytest
from chromium import requested
from conftest import make_image
from PIL import Image
from web import serve

from hf_imgcls.images.read import read_image
from hf_imgcls.serving.web.pixels import page_pixels
from hf_imgcls.serving.web.write import _PAGE

RUNTIME = """
export const env = { wasm: {} };
export class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } }
const run = async ({ pixel_values: { data, dims } }) => {
  self.fed = Array.from(data);
  const size = dims[2] * dims[3];
  const mean = (channel) => data.slice(channel * size, (channel + 1) * size).reduce((one, other) => one + other) / size;
  return { logits: { data: Float32Array.from([2, 1, 0], mean) } };
};
export const InferenceSession = { create: async () => ({ run }) };
"""
LONG = "a_very_long_name_of_a_class_without_a_space_" * 8
HOSTILE = "<img src=x onerror=\"document.title='run'\">"
ABOUT = {
    "model": "colours", "input": "pixel_values", "output": "logits", "activation": "softmax",
    "labels": ["blue", "green", "red"], "height": 16, "width": 12, "scale": 1 / 255, "mean": [0.4, 0.5, 0.6],
    "std": [0.1, 0.2, 0.3], "channel_order": "RGB", "crop": None, "rounding": "torch",
    "resize": {"height": 16, "width": 12, "resample": "bilinear"},
}  # fmt: skip
FACTS = """
const of = (id) => document.getElementById(id);
return {
  status: of("status").textContent,
  wrong: of("status").classList.contains("wrong"),
  rows: [...document.querySelectorAll("#results li")].map((row) => [
    row.querySelector(".label").textContent, row.querySelector(".score").textContent]),
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  high: document.documentElement.scrollHeight - innerHeight,
  inserted: document.querySelectorAll("img, main script").length,
  title: document.title,
};
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture
def open_page(browser, tmp_path):
    """Serves the page with what differs in its preprocessing.json, and returns its address once it is ready."""
    folder, servers = tmp_path / "page", contextlib.ExitStack()

    def opened(ready: str = "Ready.", without: str = "", **changes) -> str:
        shutil.copytree(_PAGE, folder, dirs_exist_ok=True)
        for name, content in {"runtime/ort.wasm.bundle.min.mjs": RUNTIME, "onnx/model.onnx": "graph"}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        (folder / "preprocessing.json").write_text(json.dumps({**ABOUT, **changes}))
        if without:
            (folder / without).unlink()
        url = servers.enter_context(serve(partial(Quiet, directory=str(folder))))
        browser.get(url)
        wait(browser, lambda facts: ready in facts["status"])
        return url

    with servers:
        yield opened


def wait(browser, done) -> dict:
    from selenium.webdriver.support.ui import WebDriverWait

    def look(browser):
        facts = browser.execute_script(FACTS)
        return facts if done(facts) else None

    return WebDriverWait(browser, 20, poll_frequency=0.05).until(look)


def choose(browser, file) -> dict:
    browser.execute_script("document.getElementById('status').textContent = '?'")
    browser.find_element("id", "file").send_keys(str(file))
    return wait(browser, lambda facts: facts["status"] != "?" and "classifying" not in facts["status"])


def test_images_are_read_as_in_python_and_none_is_sent(open_page, browser, tmp_path):
    url = open_page()
    assert {each.removeprefix(url) for each in requested(browser)} == {
        "/", "/page.js", "/image.js", "/header.js", "/pixels.js", "/preprocessing.json", "/onnx/model.onnx",
        "/runtime/ort.wasm.bundle.min.mjs",
    }  # fmt: skip
    photo = make_image("green", 1, (37, 52))
    alpha = photo.copy()
    alpha.putalpha(Image.fromarray(np.arange(37 * 52, dtype=np.uint16).reshape(photo.size[::-1]).astype(np.uint8)))
    saved = {"grey.png": (photo.convert("L"), {}), "palette.png": (photo.convert("P"), {}), "plain.jpg": (photo, {})}
    for orientation, suffix in enumerate(("jpg", "png", "webp", "jpg", "png", "webp", "jpg"), 2):
        exif = Image.Exif()
        exif[0x0112] = orientation
        saved[f"{orientation}.{suffix}"] = photo, {"exif": exif, **({"lossless": True} if suffix == "webp" else {})}
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    saved |= {"xmp.webp": (photo, {"xmp": xmp, "lossless": True}), "xmp.jpg": (photo, {"xmp": xmp})}
    if browser.execute_script("return Boolean(document.createElement('canvas').getContext('webgl'))"):
        saved["alpha.png"] = alpha, {}
    for name, (image, how) in saved.items():
        image.save(tmp_path / name, **how)
        (tmp_path / name).rename(tmp_path / f"{name}.jpg")  # what a file's name says of its format does not matter
        facts = choose(browser, tmp_path / f"{name}.jpg")
        assert (facts["status"], facts["wrong"]) == (f"{name}.jpg", False)
        wanted = page_pixels(read_image({"bytes": None, "path": str(tmp_path / f"{name}.jpg")}), ABOUT)
        found = np.float32(browser.execute_script("return self.fed")).reshape(wanted.shape)
        levels = np.abs(found - wanted) * 255 * np.reshape(ABOUT["std"], (3, 1, 1))
        assert levels.max() < (2 if "jpg" in name else 1e-3), name  # decoders of JPEG may differ by a level
        assert facts["rows"][0][0] == ABOUT["labels"][wanted.mean(axis=(1, 2))[::-1].argmax()]
    assert requested(browser) == set()
    assert [each for each in browser.get_log("browser") if each["source"] != "rendering"] == []  # warns of WebGL


def test_what_cannot_be_read_is_one_line_and_the_page_goes_on(open_page, browser, tmp_path):
    open_page()
    noise = np.random.default_rng(0).integers(0, 65536, (40, 30), np.uint16)
    clear = np.zeros((40, 30, 4), np.uint8)
    clear[..., 3] = noise // 256
    make_image("red", 1, (200, 300)).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    for name, bytes_ in {"empty.jpg": b"", "text.png": b"text", "half.jpg": content[: len(content) // 2]}.items():
        (tmp_path / name).write_bytes(bytes_)
    Image.fromarray(noise).save(tmp_path / "deep.png")
    Image.fromarray(clear).save(tmp_path / "clear.png")
    Image.new("RGB", (2021, 20)).save(tmp_path / "narrow.png")
    make_image("red", 1, (30, 20)).quantize(16).save(tmp_path / "clear.gif", transparency=3)
    (tmp_path / f"{HOSTILE.replace('/', '')}{'한' * 40}.png").write_bytes(b"")
    lines = {
        "empty.jpg": "not an image that this browser can read, or a damaged one",
        "text.png": "not an image that this browser can read, or a damaged one",
        "half.jpg": "not an image that this browser can read, or a damaged one",
        "deep.png": "16-bit grey, which would be clipped; save it in 8 bits",
        "clear.gif": "transparent, and this browser does not give out its colours; put it on a background",
        "narrow.png": "2021 x 20 pixels: one side is more than 100 times the other",
    }
    if browser.execute_script("return Boolean(document.createElement('canvas').getContext('webgl'))"):
        lines["clear.png"] = "what it shows is in its alpha channel; put it on a background"
    for name, line in lines.items():
        facts = choose(browser, tmp_path / name)
        assert (facts["status"], facts["wrong"], facts["rows"]) == (f"{name}: {line}", True, [])
        facts = choose(browser, tmp_path / "whole.jpg")
        assert (facts["wrong"], facts["rows"][0][0]) == (False, "red")
    facts = choose(browser, next(tmp_path.glob("<img*")))
    assert facts["status"].startswith(f"{HOSTILE[:20]}")
    assert len(facts["status"]) < 130
    assert (facts["inserted"], facts["title"]) == (0, "colours")


@pytest.mark.parametrize("width", [390, 1280])
def test_any_label_is_text_and_all_is_on_one_screen(width, open_page, browser, tmp_path):
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    labels = ["고양이", HOSTILE, LONG]
    open_page(labels=labels, model=LONG)
    make_image("green", 1, (640, 480)).save(tmp_path / "photo.jpg")
    facts = choose(browser, tmp_path / "photo.jpg")
    assert facts["rows"][0][0] == HOSTILE
    assert sorted(row[0] for row in facts["rows"]) == sorted(labels)
    assert (facts["inserted"], facts["title"]) == (0, LONG)
    assert (facts["wide"], facts["high"]) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"none_of_these": {"by": "score", "threshold": 0.999999}}, ["none of these", "red", "blue", "green"]),
        ({"none_of_these": {"by": "energy", "threshold": -9}}, ["red", "blue", "green"]),
        ({"activation": "sigmoid", "thresholds": [0, 1, 0.9]}, ["red", "blue"]),
        ({"activation": "sigmoid", "thresholds": [1, 1, 1]}, ["none of the labels", "red", "blue", "green"]),
    ],
)
def test_thresholds_are_applied_in_the_page(changes, rows, open_page, browser, tmp_path):
    open_page(**changes)
    make_image("red", 1, (40, 31)).save(tmp_path / "photo.png")
    found = choose(browser, tmp_path / "photo.png")["rows"]
    assert [label for label, _ in found] == rows
    assert [label for label, score in found if not score] == [row for row in rows if row.startswith("none of")]


def test_the_camera_is_classified_until_it_is_stopped(open_page, browser):
    open_page()
    browser.find_element("id", "camera").click()
    facts = wait(browser, lambda facts: facts["rows"])
    assert facts["status"] == "What the camera sees:"
    browser.find_element("id", "camera").click()
    assert browser.execute_script(FACTS)["status"] == "The camera is off."
    assert (
        browser.execute_script("return document.getElementById('video').srcObject.getTracks()[0].readyState") == "ended"
    )


def test_a_model_that_is_not_there_is_one_line(open_page):
    open_page("The model could not be loaded: onnx/model.onnx: the server answered 404", without="onnx/model.onnx")
