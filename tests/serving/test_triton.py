"""A Triton model repository: its configuration is the graph's, and its client and `predict` give the model's labels.

Triton itself is not here: a small server speaks its protocol, and onnxruntime computes what it would.
"""

import contextlib
import csv
import json
import runpy
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import make_image
from exporting import make_photos, save
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from PIL import Image
from tiny import PROCESSORS, SIZE

from hf_imgcls.cli import main
from hf_imgcls.errors import InputError
from hf_imgcls.images.processors import process_image
from hf_imgcls.scoring import Rejection, sigmoid, softmax
from hf_imgcls.serving.export.folder import write_manifest
from hf_imgcls.serving.inference import Classifier
from hf_imgcls.serving.onnx.pixels import describe_pixels
from hf_imgcls.serving.open import open_classifier
from hf_imgcls.serving.triton import client
from hf_imgcls.serving.triton.client import choose
from hf_imgcls.serving.triton.write import client_code, served_name

# Of Triton's model_config.proto what is used here: message, field, type.
PROTO = {
    "Queue": {"max_queue_delay_microseconds": "uint64"},
    "Input": {"name": "string", "data_type": "Type", "dims": "int64 s"},
    "Output": {"name": "string", "data_type": "Type", "dims": "int64 s", "label_filename": "string"},
    "Config": {
        "name": "string", "backend": "string", "max_batch_size": "int32", "input": "Input s", "output": "Output s",
        "dynamic_batching": "Queue",
    },
}  # fmt: skip


def parsed(text: str):
    """The content of config.pbtxt as protobuf reads it, which Triton does."""
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", syntax="proto3")
    enum = file.enum_type.add(name="Type")
    for number, name in enumerate(("TYPE_INVALID", "TYPE_FP32")):
        enum.value.add(name=name, number=number)
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in PROTO.items():
        made = file.message_type.add(name=message)
        for number, (name, kind) in enumerate(fields.items(), 1):
            field = made.field.add(name=name, number=number, label=3 if kind.endswith(" s") else 1)
            word = kind.removesuffix(" s")
            if word in PROTO or word == "Type":
                field.type_name, field.type = word, kinds.TYPE_ENUM if word == "Type" else kinds.TYPE_MESSAGE
            else:
                field.type = getattr(kinds, f"TYPE_{word.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return text_format.Parse(text, message_factory.GetMessageClass(pool.FindMessageTypeByName("Config"))())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(folder of a run that says none of these to half of its images, model repository)."""
    place = tmp_path_factory.mktemp("triton")
    run = save(place / "my colours", "vit", make_photos(place / "photos", train=2, test=4))
    photos = [make_image(colour, 50) for colour in ("red", "green", "blue")]
    classifier = open_classifier(str(run))
    logits = classifier.outputs([classifier.process(photo) for photo in photos])
    threshold = float(np.sort(np.log(np.exp(logits).sum(1)))[1] - 1e-3)
    settings = json.loads((run / "config.json").read_text())
    settings["none_of_these"] = {"by": "energy", "threshold": threshold}
    (run / "config.json").write_text(json.dumps(settings))
    assert main(["export", str(run), "--format", "triton"]) == 0
    return run, place / "my colours-triton"


@pytest.fixture
def server(exported):
    """A server with Triton's protocol for one model: (address, what it was asked)."""
    session, asked = onnxruntime.InferenceSession(exported[1] / "my_colours" / "1" / "model.onnx"), []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            body, size = self.rfile.read(int(self.headers["content-length"])), "Inference-Header-Content-Length"
            head = json.loads(body[: int(self.headers[size])])
            asked.append((self.path, head))
            if "elsewhere" in self.path:
                return self.send_error(400, "unknown model")
            (tensor,) = head["inputs"]
            binary = body[int(self.headers[size]) :]
            assert len(binary) == tensor["parameters"]["binary_data_size"]
            pixels = np.frombuffer(binary, "<f4").reshape(tensor["shape"])
            (logits,) = session.run([head["outputs"][0]["name"]], {tensor["name"]: pixels})
            output = {"name": "logits", "datatype": "FP32", "shape": logits.shape, "data": logits.ravel().tolist()}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"model_name": "my_colours", "outputs": [output]}).encode())

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def predicted(model, photos, output) -> list[dict]:
    assert main(["predict", str(model), str(photos), "--output", str(output), "--device", "cpu"]) == 0
    with output.open() as file:
        return list(csv.DictReader(file))


def test_the_configuration_is_what_triton_reads_and_what_the_graph_has(exported):
    _, folder = exported
    config = parsed((folder / "my_colours" / "config.pbtxt").read_text())
    assert (config.name, config.backend, config.max_batch_size) == ("my_colours", "onnxruntime", 16)
    (taken,), (given,) = config.input, config.output
    assert [taken.data_type, given.data_type] == [1, 1]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1000
    model = onnx.load(folder / "my_colours" / "1" / "model.onnx")
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10  # onnxruntime 1.18
    session = onnxruntime.InferenceSession(folder / "my_colours" / "1" / "model.onnx")
    for stated, tensor in ((taken, session.get_inputs()[0]), (given, session.get_outputs()[0])):
        assert [stated.name, "batch", *stated.dims] == [tensor.name, *tensor.shape]
        assert tensor.type == "tensor(float)"
    assert session.run(None, {"pixel_values": np.zeros((16, 3, SIZE, SIZE), np.float32)})[0].shape == (16, 3)
    labels = (folder / "my_colours" / given.label_filename).read_text().splitlines()
    assert labels == ["blue", "green", "red"]
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "client.py", "config.json", "export.json", "my_colours", "preprocessing.json",
        "preprocessor_config.json",
    }  # fmt: skip
    readme = (folder / "README.md").read_text()
    assert "/models:ro" in readme
    assert "Parity check passed: onnxruntime reproduces the model's predictions on 12 test images" in readme
    about = json.loads((folder / "export.json").read_text())
    assert set(about["files"]) >= {"my_colours/1/model.onnx", "my_colours/config.pbtxt", "client.py"}


def test_client_and_predict_give_the_labels_of_the_model(exported, server, tmp_path, monkeypatch, capsys):
    (run, folder), (url, asked) = exported, server
    ours, theirs = (predicted(model, run.parent / "photos/test", tmp_path / f"{model.name}.csv") for model in exported)
    assert {"none of these", "red"} <= {row["label_1"] for row in ours}, "a test of one answer shows nothing"
    code = (folder / "client.py").read_text()
    assert "hf_imgcls" not in code
    client = runpy.run_path(str(folder / "client.py"))
    about = json.loads((folder / "preprocessing.json").read_text())
    for row, other in zip(ours, theirs, strict=True):
        assert {key: row[key] for key in row if "label" in key} == {key: other[key] for key in other if "label" in key}
        found = client["classify"](row["image"], about, url)[:3]  # predict has as many columns as the model labels
        assert [label for label, _ in found] == [row[f"label_{i}"] for i in range(1, len(found) + 1)]
        scores = [float(row[f"score_{i}"] or 0) for i in range(1, len(found) + 1)]
        # Pillow and torchvision round differently.
        assert np.abs(np.subtract([score or 0 for _, score in found], scores)).max() < 0.02
    assert asked[0][0] == "/v2/models/my_colours/infer"
    known = next(row for row in ours if row["label_1"] == "red")
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["client.py", "--url", url, known["image"]])
    runpy.run_path(str(folder / "client.py"), run_name="__main__")
    assert capsys.readouterr().out.startswith(f"{known['image']}: red ")
    monkeypatch.setattr(sys, "argv", ["client.py", "--url", f"{url}/elsewhere", known["image"]])
    with pytest.raises(SystemExit, match="HTTP Error 400: unknown model"):
        runpy.run_path(str(folder / "client.py"), run_name="__main__")
    monkeypatch.setattr(sys, "argv", ["client.py", "--url", url, str(folder / "README.md")])
    with pytest.raises(SystemExit, match=r"README.md: cannot identify image"):
        runpy.run_path(str(folder / "client.py"), run_name="__main__")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name: "my_colours"', 'name: "others"', "found the name 'others', but Triton wants that of its folder"),
        ("3, 16, 16", "3, 16, 32", r"input is pixel_values tensor\(float\) \[3, 16, 32\], in the graph pixel_values"),
        ("TYPE_FP32", "TYPE_FP16", r"input is pixel_values TYPE_FP16 \[3, 16, 16\]"),
        ('"pixel_values"', '"image"', r"input is image tensor\(float\)"),
        ("dims: [ 3 ]", "dims: [ 1000 ]", r"output is logits tensor\(float\) \[1000\], in the graph logits"),
        ("max_batch_size: 16", "max_batch_size: 0", "max_batch_size must be 1 or more"),
        ("max_batch_size: 16", "max_batch_size: 64  # more\ninstance_group [ { count: 2 kind: KIND_CPU } ]", None),
    ],
)
def test_a_configuration_that_does_not_fit_the_graph_is_refused(old, new, said, exported, tmp_path):
    folder = shutil.copytree(exported[1], tmp_path / "edited")
    config = folder / "my_colours" / "config.pbtxt"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=said) if said else contextlib.nullcontext():
        open_classifier(str(folder))


def test_other_damage_is_one_line(exported, tmp_path):
    folder = shutil.copytree(exported[1], tmp_path / "damaged")
    (folder / "my_colours" / "labels.txt").write_text("blue\ngreen\n")
    with pytest.raises(InputError, match=r"labels.txt: 2 labels, in the graph 3"):
        open_classifier(str(folder))
    (folder / "my_colours" / "1" / "model.onnx").write_bytes(b"")
    with pytest.raises(InputError, match=r"my_colours/1/model.onnx is damaged"):
        open_classifier(str(folder))
    (folder / "my_colours" / "config.pbtxt").unlink()
    with pytest.raises(InputError, match=r"0 folders with a config.pbtxt, expected one"):
        open_classifier(str(folder))


def test_a_name_that_an_address_takes():
    assert [served_name(name) for name in ("vit-b.16", "my colours", "한글 런", "..")] == [
        "vit-b.16", "my_colours", "model", "model",
    ]  # fmt: skip


def test_a_model_called_int8_is_in_the_list_of_files_and_the_quantized_export_is_not(tmp_path):
    (tmp_path / "int8" / "1").mkdir(parents=True)
    (tmp_path / "int8" / "1" / "model.onnx").write_bytes(b"graph")
    write_manifest(tmp_path, {})
    assert list(json.loads((tmp_path / "export.json").read_text())["files"]) == ["int8/1/model.onnx"]
    write_manifest(tmp_path / "int8", {})
    write_manifest(tmp_path, {})
    assert json.loads((tmp_path / "export.json").read_text())["files"] == {}


@pytest.mark.parametrize("by", ["score", "energy"])
def test_the_client_decides_as_predict_does(by):
    logits = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32) * 3
    about = {"labels": list("abcd"), "activation": "softmax", "none_of_these": {"by": by, "threshold": 2.5}}
    if by == "score":
        about["none_of_these"]["threshold"] = 0.7
    rejection = Rejection(**about["none_of_these"])
    classifier = Classifier("", about["labels"], None, lambda pixels: pixels, softmax, rejection)
    scores, rejected = classifier.judge(list(torch.from_numpy(logits)))
    assert 5 < rejected.sum() < 35
    for row, wanted, none in zip(logits, scores, rejected, strict=True):
        found = choose(row, about)
        assert (found[0] == ("none of these", None)) == none
        assert found[int(none) :] == [
            (label, pytest.approx(score, abs=1e-6)) for label, score in classifier.top(wanted, 4)
        ]
    several = {"labels": list("abcd"), "activation": "sigmoid", "thresholds": [0.5, 0.9, 0.2, 0.5]}
    for row in logits:
        chances = dict(zip("abcd", sigmoid(row), strict=True))
        reached = [label for label, least in zip("abcd", several["thresholds"], strict=True) if chances[label] >= least]
        assert {label for label, _ in choose(row, several)} == set(reached)
    assert choose(logits[0], {"labels": list("abcd"), "activation": "none"})[0][1] == logits[0].max()
    with pytest.raises(ValueError, match="scores are not numbers"):
        choose(np.array([0.5, np.nan, 2, 1]), several)


def test_the_client_prints_all_labels_that_reach_their_thresholds(exported, tmp_path, monkeypatch, capsys):
    about = json.loads((exported[1] / "preprocessing.json").read_text())
    about |= {"labels": list("abcdefg"), "activation": "sigmoid", "thresholds": [0.5] * 7, "none_of_these": None}
    (tmp_path / "preprocessing.json").write_text(json.dumps(about))
    make_image("red", 1).save(tmp_path / "photo.png")
    monkeypatch.setattr(client, "__file__", str(tmp_path / "client.py"))
    monkeypatch.setattr(client, "infer", lambda *words: np.array([[1.0, 2, 3, 4, 5, 6, -1]]))
    monkeypatch.setattr(sys, "argv", ["client.py", str(tmp_path / "photo.png")])
    client.main()
    assert capsys.readouterr().out.split(": ")[1].replace(",", " ").split()[::2] == list("fedcba")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9)
    with pytest.raises(SystemExit, match=r"photo.png: Image size .* exceeds limit"):
        client.main()


def test_where_no_description_fits_the_client_has_the_models_own_processor(tmp_path):
    processor = PROCESSORS["PP-LCNet, blue first"]()
    processor.save_pretrained(tmp_path)
    (tmp_path / "client.py").write_text(client_code(describe_pixels(processor)))
    photo = make_image("red", 3, (101, 66))
    prepare = runpy.run_path(str(tmp_path / "client.py"))["prepare"]
    assert np.array_equal(prepare(photo, {}), process_image(processor, photo).numpy())
