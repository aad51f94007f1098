"""handler.py of Inference Endpoints: it runs without this package, as the model was scored, and pushed only so."""

import base64
import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest
import test_push
import torch
from conftest import COLOURS, make_image
from finished import finished_run
from PIL import Image
from test_push import fails, pushed
from transformers import pipeline

from hf_imgcls.errors import PushError
from hf_imgcls.images import Limits, read_usable
from hf_imgcls.publishing import endpoint, handler
from hf_imgcls.publishing.endpoint import check_handler
from hf_imgcls.serving import page
from hf_imgcls.serving.distance import ClassMeans
from hf_imgcls.serving.open import open_classifier

hub, run, unopened = test_push.hub, test_push.run, test_push.unopened


def opened(folder):
    """As huggingface-inference-toolkit opens handler.py of a repository."""
    spec = importlib.util.spec_from_file_location("handler", folder / "handler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EndpointHandler(str(folder))


def as_bytes(image: Image.Image, kind: str = "PNG", **settings) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def change(folder, **settings) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def test_the_handler_of_a_repository_predicts_as_pipeline_whatever_way_an_image_comes(run, hub, unopened, capsys):
    line = pushed(capsys, run, "--with-handler")
    assert "11 files verified (recipe.json, results.json without paths of this machine)" in line
    there = hub.files("someone/colours")
    assert there["requirements.txt"].decode().splitlines()[1].startswith("transformers==")
    assert "hf_imgcls" not in there["handler.py"].decode()
    serve, handle = (
        pipeline("image-classification", model=str(run), device="cpu"),
        opened(hub.folder("someone/colours")),
    )
    turned = Image.Exif()
    turned[274] = 6
    image = make_image("red", 3, (50, 30))
    jpeg = as_bytes(image, "JPEG", exif=turned)
    wanted = serve(Image.open(io.BytesIO(jpeg)))
    text = base64.b64encode(jpeg).decode()
    for sent in (jpeg, bytearray(jpeg), text, f"data:image/jpeg;base64,{text}", Image.open(io.BytesIO(jpeg))):
        assert handle({"inputs": sent}) == wanted
    assert handle({"inputs": [image, jpeg]}) == [serve(image), wanted]
    damaged = as_bytes(image, "JPEG", exif=b"Exif\0\0\xff\xff\xff\xff\0\0\0\x08")  # which pipeline predicts
    assert handle({"inputs": damaged}) == serve(Image.open(io.BytesIO(damaged)))
    assert handle({"inputs": jpeg, "parameters": {"top_k": 2}}) == wanted[:2]
    assert handle({"inputs": jpeg, "parameters": None}) == wanted
    json.dumps(wanted)


@pytest.fixture(scope="module")
def handle(tmp_path_factory):
    return handler.EndpointHandler(str(finished_run(tmp_path_factory.mktemp("handler") / "run")), "cpu")


PHOTO = as_bytes(make_image("red", 3, (50, 30)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"inputs": PHOTO[: len(PHOTO) // 2]}, "inputs: the image cannot be read: "),
        ({"inputs": b""}, "it is no JPEG, PNG, GIF, WEBP, BMP, TIFF or AVIF, or its header is broken"),
        ({"inputs": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n"}, "it is no JPEG"),
        ({"inputs": "https://example.org/a.jpg"}, "not base64; addresses and names of files are not read"),
        ({"inputs": "/etc/passwd"}, "the image cannot be read|not base64"),
        ({"inputs": as_bytes(Image.new("1", (13_000, 13_000)))}, "13000x13000 pixels are too many"),
        ({"inputs": as_bytes(Image.new("L", (300, 1)))}, "300x1 pixels are too many, or too long and narrow"),
        (
            {"inputs": as_bytes(Image.new("I;16", (9, 9), 4000))},
            "its values are clipped to 0 to 255; scale them to 8 bits",
        ),
        ({"inputs": 3}, "found int, expected the bytes of an image"),
        ({"inputs": {"image": "x"}}, "found dict, expected"),
        ({"inputs": [PHOTO, None]}, "found NoneType, expected"),
        ({"image": PHOTO}, 'the request has no "inputs"'),
        ({"inputs": PHOTO, "parameters": {"top_k": 0}}, "top_k must be a whole number from 1, found '0'"),
        ({"inputs": PHOTO, "parameters": {"top_k": True}}, "top_k must be a whole number from 1, found 'True'"),
        ({"inputs": PHOTO, "parameters": {"threshold": 0.5}}, "'threshold' is unknown; there is top_k"),
    ],
)
def test_what_is_wrong_with_a_request_is_one_line_and_the_next_is_answered(data, said, handle):
    with pytest.raises(ValueError, match=said) as found:
        handle(data)
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 400
    assert len(handle({"inputs": PHOTO})) == 3


def odd_images() -> dict[str, bytes]:
    """Files of deep and of transparent images."""
    random = np.random.default_rng(0)
    grey = random.integers(0, 255, (100, 100))
    drawn = np.zeros((20, 30, 4), np.uint8)
    drawn[5:9, 5:9, 3] = 255
    palette = Image.new("P", (20, 20))
    palette.putpalette([0, 0, 0] * 256)
    palette.paste(1, (2, 2, 9, 9))
    dead = grey.copy()
    dead[3, 3] = 60_000
    deep = {"12 bits": grey * 16, "8 bits": grey, "a dead pixel": dead}
    floats = {"0 to 1": grey / 255, "negative": grey - 128.0, "0 to 255": grey * 1.0}
    return {
        **{name: as_bytes(Image.fromarray(values.astype(np.uint16))) for name, values in deep.items()},
        **{name: as_bytes(Image.fromarray(values.astype(np.float32)), "TIFF") for name, values in floats.items()},
        "in alpha": as_bytes(Image.fromarray(drawn)),
        "in alpha of grey": as_bytes(Image.fromarray(drawn[..., 2:])),
        "in the palette's": as_bytes(palette, transparency=0),
        "a photo with alpha": as_bytes(Image.fromarray(random.integers(0, 255, (20, 30, 4), np.uint8))),
        "black": as_bytes(Image.new("RGB", (20, 20))),
    }  # fmt: skip


def test_where_nothing_is_left_of_an_image_handler_and_space_refuse_it_as_predict_does(tmp_path):
    verdicts = {}
    for name, content in odd_images().items():
        (tmp_path / "image").write_bytes(content)
        verdicts[name] = []
        for read, image in (
            (lambda value: read_usable(value, Limits()), {"bytes": content, "path": None}),
            (handler.read_image, content),
            (page.load, str(tmp_path / "image")),
        ):
            try:
                verdicts[name].append(np.asarray(read(image)).tobytes())
            except ValueError:
                verdicts[name].append(None)
    assert {name: each for name, each in verdicts.items() if len(set(each)) > 1} == {}
    assert {name for name, each in verdicts.items() if each[0] is None} == {
        "12 bits", "0 to 1", "negative", "in alpha", "in alpha of grey", "in the palette's",
    }  # fmt: skip


@pytest.mark.parametrize("by", ["score", "energy", "distance"])
def test_none_of_these_as_predict_says_it(by, tmp_path, monkeypatch):
    folder = finished_run(tmp_path / "run")
    images = [make_image(colour, number, (50, 30)) for colour in COLOURS for number in range(3)]
    means = ClassMeans.of(torch.rand(12, 16, generator=torch.manual_seed(0)), torch.arange(12) % 3, 3)
    means.save(folder)
    change(folder, none_of_these={"by": by, "threshold": 0.0, "head": "classifier"})
    classifier = open_classifier(str(folder))
    _, found = classifier.rejection.confidences(classifier.outputs, [classifier.process(image) for image in images])
    low, threshold = (float(sum(sorted(found)[i : i + 2]) / 2) for i in (1, 4))
    change(folder, none_of_these={"by": by, "threshold": threshold, "head": "classifier"})
    check_handler(folder, images)
    handle = handler.EndpointHandler(str(folder), "cpu")
    none = [handle({"inputs": image, "parameters": {"top_k": 2}}) for image in images]
    rejected = [best[0] == {"label": "none of these", "score": None} for best in none]
    assert rejected == [value < threshold for value in found]
    assert {len(best) for best in none} == {2}
    if by == "energy":
        other = classifier._replace(rejection=classifier.rejection._replace(threshold=low))
        monkeypatch.setattr(endpoint, "open_classifier", lambda *words, **more: other)
        with pytest.raises(PushError, match="prediction of image"):
            check_handler(folder, images)


def test_several_labels_are_those_that_reach_their_thresholds(tmp_path):
    folder = change(finished_run(tmp_path / "run"), problem_type="multi_label_classification")
    images = [make_image(colour, number, (50, 30)) for colour in COLOURS for number in range(3)]
    classifier = open_classifier(str(folder))
    scores = classifier.scores([classifier.process(image) for image in images])
    columns = zip(classifier.labels, scores.T.tolist(), strict=True)
    thresholds = {label: sum(sorted(values)[4:6]) / 2 for label, values in columns}
    change(folder, label_thresholds=thresholds)
    check_handler(folder, images)
    handle = handler.EndpointHandler(str(folder), "cpu")
    found = [handle({"inputs": image}) for image in images]
    assert len({len(each) for each in found}) > 1
    assert all(each["score"] >= thresholds[each["label"]] for best in found for each in best)
    assert [len(handle({"inputs": image, "parameters": {"top_k": 3}})) for image in images] == [3] * 9


def test_a_model_with_code_of_its_own_and_one_of_timm(tmp_path):
    own = finished_run(tmp_path / "own", "convnet")
    check_handler(own, [make_image("red", 1, (50, 30))])
    timm = change(finished_run(tmp_path / "timm"), model_type="timm_wrapper")
    assert [line.partition("==")[0] for line in endpoint.pinned(timm, "transformers")] == ["transformers", "timm"]


def test_files_of_others_stay_and_a_handler_that_predicts_otherwise_is_not_pushed(
    run, hub, unopened, capsys, monkeypatch
):
    pushed(capsys, run)
    for path in ("handler.py", "requirements.txt"):
        hub.commit("models", "someone/colours", "main", {path: b"mine"})
        line = fails(capsys, 3, "push", run, "--repo-id", "someone/colours", "--with-handler")
        assert f"someone/colours has a {path} of its own; rename it there, or push without --with-handler" in line
        assert line.endswith("--repo-id someone/colours --with-handler")
        hub.commit("models", "someone/colours", "main", {}, [path])
    before = hub.files("someone/colours")
    with monkeypatch.context() as patched:
        patched.setattr(handler.EndpointHandler, "__call__", lambda self, data: [{"label": "red", "score": 1.0}])
        line = fails(capsys, 3, "push", run, "--repo-id", "someone/colours", "--with-handler")
        assert "the handler does not reproduce the model's prediction of image 1" in line
    assert hub.files("someone/colours") == before
    pushed(capsys, run, "--with-handler")
    assert set(hub.files("someone/colours")) == {*before, "handler.py", "requirements.txt"}
