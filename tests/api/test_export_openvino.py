"""Exporting for OpenVINO: what it predicts, that int8 is calibrated on other images, and that nothing is sent."""

import contextlib
import io
import json
import shutil
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import COLOURS, make_image
from exporting import make_photos, one_line, predict, run_readme, save
from onnx import helper
from tiny import SIZE, tiny_model, tiny_processor

from hf_imgcls import ImageClassifier
from hf_imgcls.cli import main
from hf_imgcls.errors import InputError
from hf_imgcls.models.build import load_network
from hf_imgcls.models.ensemble import EnsembleConfig, EnsembleForImageClassification
from hf_imgcls.models.label_kind import set_thresholds
from hf_imgcls.serving.export.calibration import calibration_images
from hf_imgcls.serving.export.images import CheckImages, evaluation_images
from hf_imgcls.serving.open import open_classifier
from hf_imgcls.serving.openvino import session, write
from hf_imgcls.serving.openvino.quantize import has_attention
from hf_imgcls.serving.openvino.session import open_openvino, read_model
from hf_imgcls.serving.openvino.write import write_openvino_export


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A home folder, in which nothing may be written; whatever is imported here is imported with it."""
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place))
        assert not sys.modules.keys() & {"nncf", "openvino"}, "their import is not seen here"
        yield place


@pytest.fixture(scope="module")
def exported_run(home, tmp_path_factory):
    """(folder of a run, of its export with --quantize, standard output, addresses that were connected to)."""
    place = tmp_path_factory.mktemp("사진 openvino")
    run = save(place / "빛깔 run", "vit", make_photos(place / "photos", train=2, test=10))
    asked, out = [], io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(socket.socket, "connect", lambda self, address: asked.append(address))
        assert main(["export", str(run), "--format", "openvino", "--quantize"]) == 0
    return run, place / "빛깔 run-openvino", out.getvalue(), asked


def test_the_folder_is_complete_and_nothing_is_sent_or_written_elsewhere(exported_run, home):
    run, folder, out, asked = exported_run
    assert (list(home.rglob("*")), asked) == ([], [])
    assert "openvino_telemetry" not in sys.modules
    lines = out.splitlines()
    assert lines[0] == "export: calibrating int8 on 5 train images"
    assert lines[1].startswith(f"exported: {folder}, ")
    assert "reproduces the model's predictions on 30 test images, in batches of 1 to 16 (top-1 agr" in lines[2]
    assert lines[3].startswith(f"int8: {folder / 'int8'}, ")
    assert len(lines) == 4
    names = {"README.md", "config.json", "export.json", "preprocessing.json", "preprocessor_config.json"}
    assert {path.name for path in folder.iterdir()} == names | {"model.xml", "model.bin", "int8"}
    assert {path.name for path in (folder / "int8").iterdir()} == names | {"model.xml", "model.bin"}
    about = json.loads((folder / "int8" / "export.json").read_text())
    assert about["calibrated"] == {"split": "train", "images": 5}
    assert about["cost_of_int8"]["images"] == 30
    assert about["versions"].keys() >= {"openvino", "nncf"}
    assert "calibrated on 5 train images" in (folder / "int8" / "README.md").read_text()
    assert str(run.parent) not in "".join(path.read_text() for path in folder.rglob("*.[jx][sm]*"))


def test_predict_gives_the_models_rows_and_int8s_do_not_depend_on_the_batch(exported_run, tmp_path):
    run, folder, *_ = exported_run
    photos = run.parent / "photos" / "test"
    ours, theirs = (predict(each, photos, tmp_path / f"{each.name}.csv") for each in (run, folder))
    assert len(theirs) == 30
    assert len({row["label_1"] for row in ours}) > 1, "a test of one class shows nothing"
    for row, other in zip(ours, theirs, strict=True):
        assert row["label_1"] == other["label_1"]
        assert abs(float(row["score_1"]) - float(other["score_1"])) < 1e-5
    assert theirs[0]["model"].startswith("빛깔 run-openvino@")
    (best,) = ImageClassifier(folder)(theirs[0]["image"], top_k=1)
    assert (best["label"], f"{best['score']:.4f}") == (theirs[0]["label_1"], f"{float(theirs[0]['score_1']):.4f}")
    small = open_classifier(str(folder / "int8"))
    pixels = torch.randn(5, 3, SIZE, SIZE)
    pixels[4] *= 50
    assert torch.allclose(small.logits(pixels)[:1], small.logits(pixels[:1]), atol=1e-6)
    cost = json.loads((folder / "export.json").read_text())["cost_of_int8"]
    assert cost["accuracy"]["int8"] > 0.9, "without the transformer's model type it is that of a guess"


def test_int8_has_its_convolutions_in_int8_and_attention_is_told_from_other_products(exported_run):
    _, folder, *_ = exported_run
    whole, small = read_model(folder / "model.xml"), read_model(folder / "int8" / "model.xml")
    assert has_attention(whole)
    kinds = {operator.get_type_name() for operator in small.get_ops()}
    assert "FakeQuantize" in kinds
    (convolution,) = (each for each in small.get_ops() if each.get_type_name() == "Convolution")
    weights = convolution.input_values()[1]
    while weights.get_node().get_type_name() != "Constant":
        weights = weights.get_node().input_values()[0]
    assert str(weights.get_element_type()) == "<Type: 'int8_t'>"


def test_its_readmes_code_runs_with_openvino_alone(exported_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_readme(exported_run, ["model.xml", "model.bin", "preprocessing.json"], tmp_path, capsys)
    assert "onnxruntime" not in (exported_run[1] / "README.md").read_text().split("```python\n")[1]


def test_float32_is_asked_for_and_as_many_threads_as_torch_has(exported_run, monkeypatch):
    openvino, asked = session.import_openvino(), []
    compile_model = openvino.Core.compile_model

    def note(self, model, device, settings):
        asked.append(settings)
        return compile_model(self, model, device, settings)

    monkeypatch.setattr(session, "import_openvino", lambda: openvino)
    monkeypatch.setattr(openvino.Core, "compile_model", note)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        classifier = open_openvino(str(exported_run[1]), torch.device("cuda", 1))
    finally:
        torch.set_num_threads(before)
    assert asked[0]["INFERENCE_PRECISION_HINT"] == "f32"
    assert asked[0]["INFERENCE_NUM_THREADS"] == 1
    pixels, found = torch.randn(8, 3, SIZE, SIZE), {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: classifier.logits(pixels[i : i + 1])})) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = torch.cat([found[i] for i in range(8)])
    assert torch.allclose(together, classifier.logits(pixels), atol=1e-5), "of threads each has its own answer"


def test_calibration_takes_no_image_that_measures(tmp_path):
    labels, photos = list(COLOURS), make_photos(tmp_path / "photos", train=4, test=2)
    run = save(tmp_path / "run", data=photos)
    nothing = (None, None, ())
    images = evaluation_images(str(run), labels, nothing)
    found = calibration_images(str(run), images, nothing)
    assert (found.split, len(found.rows)) == ("train", 11), "one of 12 is held out for validation"
    half = (None, "train[:6]", ())
    images = evaluation_images(str(run), labels, half)
    found = calibration_images(str(run), images, half)
    paths = [row["image"]["path"] for row in found.rows]
    assert paths
    assert not {row["image"]["path"] for row in images.rows} & set(paths)
    (photos / "train" / "red" / "0.png").write_bytes(b"no image")
    found = calibration_images(str(run), CheckImages("test", [], None), nothing)
    assert str(photos / "train" / "red" / "0.png") not in [row["image"]["path"] for row in found.rows]
    (photos / "train").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"--quantize is calibrated on images of train: data.train_split: "):
        calibration_images(str(run), images, nothing)
    (tmp_path / "elsewhere").rename(photos / "train")
    everything = (str(photos), "train", ())
    with pytest.raises(InputError, match="images to calibrate on besides the train ones that measure its accuracy"):
        calibration_images(str(run), evaluation_images(str(run), labels, everything), everything)


def test_an_ensemble_of_several_labels_opens_as_it_is(tmp_path):
    networks = [tiny_model("vit"), tiny_model("convnet")]
    settings = {"networks": [each.config.to_dict() for each in networks], "orders": [[0, 1, 2], [2, 1, 0]]}
    settings |= {"scales": [[1.0] * 3, [0.5] * 3], "shifts": [[0.0] * 3, [0.1] * 3]}
    config = EnsembleConfig(**settings, id2label=networks[0].config.id2label, label2id=networks[0].config.label2id)
    config.problem_type = "multi_label_classification"
    set_thresholds(config, [0.3, 0.5, 0.6])
    EnsembleForImageClassification(config).save_pretrained(tmp_path / "model")
    tiny_processor().save_pretrained(tmp_path / "model")
    network, processor = load_network(str(tmp_path / "model"))
    folder = tmp_path / "out"
    folder.mkdir()
    write_openvino_export(folder, network, processor, {"format": "openvino", "model": "model"})
    ours, theirs = open_classifier(str(tmp_path / "model")), open_classifier(str(folder))
    pixels = list(torch.randn(3, 3, SIZE, SIZE))
    assert np.abs(ours.scores(pixels) - theirs.scores(pixels)).max() < 1e-5
    assert ours.labels == theirs.labels
    assert theirs.thresholds.tolist() == [0.3, 0.5, 0.6]


def test_a_graph_that_openvino_cannot_read_is_one_line(tmp_path, monkeypatch, capsys):
    def write_unknown(network, size, file):
        image, scores = (helper.make_tensor_value_info(name, 1, None) for name in ("pixel_values", "logits"))
        node = helper.make_node("NobodysOperator", ["pixel_values"], ["logits"])
        onnx.save(helper.make_model(helper.make_graph([node], "graph", [image], [scores])), file)

    monkeypatch.setattr(write, "write_onnx", write_unknown)
    line = one_line(capsys, "export", str(save(tmp_path / "model")), "--format", "openvino")
    assert "export: OpenVINO cannot read the model: " in line
    assert "NobodysOperator" in line
    assert len(line) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.fixture
def exported(exported_run, tmp_path) -> Path:
    return Path(shutil.copytree(exported_run[1], tmp_path / "out"))


def test_a_damaged_folder_or_no_openvino_is_one_line(exported, monkeypatch, capsys):
    photo, weights = exported / "no.png", (exported / "model.bin").read_bytes()
    make_image("red", 1).save(photo)

    def refused(*words: str) -> str:
        return one_line(capsys, "predict", str(exported), str(photo), *words)

    (exported / "model.bin").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert "model.bin is damaged (its digest differs); export the model again" in refused()
    (exported / "model.bin").unlink()
    assert "model.bin is missing in this export; export the model again" in refused()
    (exported / "model.bin").write_bytes(weights)
    assert "--device cuda: an OpenVINO export runs on the CPU here; use --device cpu" in refused("--device", "cuda")
    assert "--device warp" in refused("--device", "warp")
    (exported / "config.json").rename(exported / "elsewhere.json")
    assert f"model '{exported}': " in refused()
    (exported / "elsewhere.json").rename(exported / "config.json")
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert 'openvino is not installed; pip install "hf-imgcls[openvino]"' in refused()
    for package in ("openvino", "nncf", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None)
        line = one_line(capsys, "export", "x", "--format", "openvino")
        assert f'export: {package} is not installed; pip install "hf-imgcls[openvino]"' in line
        monkeypatch.delitem(sys.modules, package)
        monkeypatch.undo()
