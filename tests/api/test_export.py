"""Exporting as ONNX: a folder with which onnxruntime reproduces the model's predictions; and predicting with it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from conftest import COLOURS, make_image
from exporting import make_photos, one_line, predict, save
from tiny import SIZE, timm_model

from hf_imgcls.cli import main
from hf_imgcls.errors import InputError
from hf_imgcls.models.build import load_network
from hf_imgcls.scoring.metrics import interval
from hf_imgcls.serving.export.folder import write_manifest
from hf_imgcls.serving.export.images import evaluation_images
from hf_imgcls.serving.inference import Classifier, score_function
from hf_imgcls.serving.onnx.session import _provider
from hf_imgcls.serving.onnx.write import OPSET
from hf_imgcls.serving.open import FORMATS, ExportFormat, open_classifier


def test_the_export_prints_what_was_checked_and_nothing_else(exported_run):
    run, folder, out, err = exported_run
    lines = out.splitlines()
    assert lines[0] == f"exported: {folder}, opset {OPSET}, {(folder / 'model.onnx').stat().st_size / 1e6:.1f} MB"
    assert lines[1].startswith(
        "parity check passed: the export reproduces the model's predictions on 30 test images, in batches "
    )
    assert "of 1 to 16 (top-1 agreement 1.0000, max abs. logit difference " in lines[1]
    assert lines[2].startswith(f"int8: {folder / 'int8'}, ")
    assert len(lines) == 3
    assert "[torch.onnx]" not in err
    assert "Warning" not in err
    checked = json.loads((folder / "export.json").read_text())["checked"]
    assert 0 < checked["max_logit_difference"] < 1e-4
    assert checked["max_difference"] < 1e-5
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "export.json", "int8", "model.onnx", "preprocessing.json",
        "preprocessor_config.json",
    }  # fmt: skip
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    assert str(run.parent) not in "".join(path.read_text() for path in folder.glob("*.json"))


def test_any_batch_size_with_onnxruntime_alone(exported_run):
    run, folder, *_ = exported_run
    model = onnx.load(folder / "model.onnx")
    assert {each.domain: each.version for each in model.opset_import} == {"": OPSET}
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert session.get_inputs()[0].shape == ["batch", 3, SIZE, SIZE]
    network, _ = load_network(str(run))
    for batch in (1, 3, 17):
        pixels = torch.randn(batch, 3, SIZE, SIZE)
        with torch.no_grad():
            wanted = network(pixel_values=pixels).logits.numpy()
        assert np.abs(session.run(["logits"], {"pixel_values": pixels.numpy()})[0] - wanted).max() < 1e-5


@pytest.mark.parametrize("words", [(), ("--tta", "flip")])
def test_predict_gives_the_same_rows_for_the_folder_as_for_the_model(words, exported_run, tmp_path):
    run, folder, *_ = exported_run
    photos = run.parent / "photos" / "test"
    ours, theirs = (predict(each, photos, tmp_path / f"{each.name}.csv", *words) for each in (run, folder))
    assert len(theirs) == 30
    assert len({row["label_1"] for row in ours}) > 1, "a test of one class shows nothing"
    for row, other in zip(ours, theirs, strict=True):
        for key in row.keys() - {"model"}:
            if key.startswith("score"):
                assert abs(float(row[key]) - float(other[key])) < 1e-5
            else:
                assert row[key] == other[key]
    assert theirs[0]["model"].startswith("colours-onnx@")
    assert theirs[0]["model"] != ours[0]["model"]


def test_int8_has_its_own_folder_and_its_cost_is_printed(exported_run, tmp_path):
    run, folder, out, _ = exported_run
    photos, small = run.parent / "photos" / "test", folder / "int8"
    cost = json.loads((small / "export.json").read_text())["cost_of_int8"]
    assert cost == json.loads((folder / "export.json").read_text())["cost_of_int8"]
    assert cost["bytes"]["int8"] == (small / "model.onnx").stat().st_size < cost["bytes"]["float32"]
    rows = {"float32": predict(folder, photos, tmp_path / "f.csv"), "int8": predict(small, photos, tmp_path / "i.csv")}
    for precision, given in rows.items():
        right = np.mean([row["label_1"] == Path(row["image"]).parent.name for row in given])
        assert cost["accuracy"][precision] == pytest.approx(right, abs=1e-6)
        assert cost["accuracy_interval_95"][precision] == pytest.approx(interval(right, 30), abs=1e-6)
        assert f"{right:.4f} (95 % interval" in out.splitlines()[2]
    assert "on 30 test images" in out.splitlines()[2]
    both = zip(*rows.values(), strict=True)
    assert cost["different_predictions"] == sum(one["label_1"] != other["label_1"] for one, other in both)
    assert any(one["score_1"] != other["score_1"] for one, other in zip(*rows.values(), strict=True))
    operators = {node.op_type for node in onnx.load(small / "model.onnx").graph.node}
    assert operators >= {"MatMulInteger", "Conv"}
    assert "ConvInteger" not in operators


def test_an_int8_prediction_does_not_depend_on_the_batch(exported_run):
    classifier = open_classifier(str(exported_run[1] / "int8"))
    pixels = torch.randn(5, 3, SIZE, SIZE)
    pixels[4] *= 50  # the scale of the whole batch, if it had one
    together = classifier.logits(pixels)
    assert torch.equal(together[:1], classifier.logits(pixels[:1]))


def test_a_format_is_one_entry_of_the_table(tmp_path, monkeypatch, capsys):
    def write(folder, network, processor, about):
        network.save_pretrained(folder)
        processor.save_pretrained(folder)
        write_manifest(folder, about)

    def open_folder(name, device):
        network, processor = load_network(name)
        labels = list(network.config.id2label.values())
        logits = lambda pixels: network(pixel_values=pixels).logits.detach()  # noqa: E731
        return Classifier("copied", labels, processor, logits, score_function(network.config))

    readmes = []
    copy = ExportFormat(lambda: None, write, None, lambda *words: readmes.append(words), open_folder, "*.safetensors")
    monkeypatch.setitem(FORMATS, "copy", copy)
    place, photo = save(tmp_path / "model"), tmp_path / "red.png"
    make_image("red", 1).save(photo)
    assert main(["export", str(place), "--format", "copy"]) == 0
    folder = tmp_path / "model-copy"
    assert "parity check passed: " in capsys.readouterr().out
    ((_, about),) = readmes
    assert (about["format"], about["checked"]["images"]) == ("copy", 32)
    assert predict(folder, photo, tmp_path / "predictions.csv")[0]["model"] == "copied"
    message = "--format: found 'onx', expected onnx or "
    assert message in one_line(capsys, "export", str(place), "--format", "onx")
    assert "--quantize is not available for copy" in one_line(
        capsys, "export", str(place), "--format", "copy", "--quantize", "--output", str(tmp_path / "other")
    )
    (folder / "export.json").write_text('{"format": "of a later version"}')
    assert "export.json is damaged or of a later version" in one_line(capsys, "predict", str(folder), str(photo))


def test_of_several_processes_each_runs_onnx_on_its_own_gpu(monkeypatch):
    onnxruntime = SimpleNamespace(get_available_providers=lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert [_provider(onnxruntime, device)[1]["device_id"] for device in ("cuda", "cuda:1", "cuda:0")] == [3, 1, 0]


def test_trusted_code_is_not_needed_after_the_export(exported_run, tmp_path, capsys):
    place = save(tmp_path / "model")
    code = Path("hf_imgcls/models/convnet.py").read_text().replace('model_type = "convnet"', 'model_type = "foreign"')
    (place / "somebody.py").write_text(code)
    config = json.loads((place / "config.json").read_text()) | {
        "model_type": "foreign",
        "auto_map": {
            "AutoConfig": "somebody.ConvNetConfig",
            "AutoModelForImageClassification": "somebody.ConvNetForImageClassification",
        },
    }
    (place / "config.json").write_text(json.dumps(config))
    assert "add --trust-remote-code" in one_line(capsys, "export", str(place))
    photos = str(exported_run[0].parent / "photos")
    words = ["--data", photos, "--split", "train", "data.max_samples.train=4"]
    assert main(["export", str(place), "--trust-remote-code", *words]) == 0
    assert "on 4 train images, in batches of 1 to 2" in capsys.readouterr().out
    assert "auto_map" not in json.loads((tmp_path / "model-onnx" / "config.json").read_text())
    ours, theirs = open_classifier(str(place), trust_remote_code=True), open_classifier(str(tmp_path / "model-onnx"))
    pixels = torch.randn(2, 3, SIZE, SIZE)
    assert ours.labels == theirs.labels == list(COLOURS)
    assert torch.allclose(ours.logits(pixels), theirs.logits(pixels), atol=1e-5)


def test_a_timm_model_whose_processor_is_in_its_configuration(tmp_path, capsys):
    model = timm_model("resnet10t")
    model.config.id2label, model.config.label2id = dict(enumerate(COLOURS)), {k: i for i, k in enumerate(COLOURS)}
    model.save_pretrained(tmp_path / "model")
    assert main(["export", str(tmp_path / "model")]) == 0
    assert "preprocessor_config.json" not in {path.name for path in (tmp_path / "model-onnx").iterdir()}
    classifier = open_classifier(str(tmp_path / "model-onnx"))
    assert classifier.labels == list(COLOURS)
    assert isinstance(classifier.processor, transformers.TimmWrapperImageProcessor)
    assert json.loads((tmp_path / "model-onnx" / "config.json").read_text())["label2id"] == model.config.label2id
    assert transformers.AutoConfig.from_pretrained(tmp_path / "model-onnx").id2label == model.config.id2label


def test_large_weights_are_external_data_and_half_precision_becomes_float32(
    exported_run, tmp_path, monkeypatch, capsys
):
    place = save(tmp_path / "model", data=exported_run[0].parent / "photos")
    load_network(str(place))[0].to(torch.bfloat16).save_pretrained(place)
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 1)
    assert main(["export", str(place), "--quantize"]) == 0
    assert " MB (converted from bfloat16 to float32)\n" in capsys.readouterr().out
    folder = tmp_path / "model-onnx"
    (whole,) = load_network(str(place))[0](pixel_values=torch.ones(1, 3, SIZE, SIZE)).logits.detach()
    for each in (folder, folder / "int8"):
        assert torch.allclose(open_classifier(str(each)).logits(torch.ones(2, 3, SIZE, SIZE)), whole, atol=0.1)
    (folder / "model.onnx.data").unlink()
    with pytest.raises(InputError, match=r"model.onnx.data is missing in this export; export the model again"):
        open_classifier(str(folder))


def test_the_images_are_those_that_the_run_was_evaluated_on(tmp_path, capsys):
    labels = ["red", "green", "blue"]  # as a checkpoint may have them
    run = save(tmp_path / "run", data=make_photos(tmp_path / "photos", train=10, test=4))
    found = evaluation_images(str(run), labels)
    assert (found.split, len(found.rows)) == ("test", 12)
    assert [labels[i] for i in found.labels] == [Path(row["image"]["path"]).parent.name for row in found.rows]
    found = evaluation_images(str(run), labels, (None, "train[:6]", ()))
    assert (found.split, len(found.rows)) == ("train[:6]", 6)
    (tmp_path / "photos" / "test").rename(tmp_path / "elsewhere")
    found = evaluation_images(str(run), labels)
    assert (found.split, len(found.rows)) == ("validation", 3), "held out of train, as the run did"
    assert [labels[i] for i in found.labels] == [Path(row["image"]["path"]).parent.name for row in found.rows]
    found = evaluation_images("timm/resnet", labels, (str(tmp_path / "elsewhere"), None, ["data.max_samples.train=3"]))
    assert len(found.rows) == 3
    (tmp_path / "photos").rename(tmp_path / "gone")
    found = evaluation_images(str(run), labels)
    assert (found.split, found.labels) == (None, None)
    assert "no such folder" in found.reason
    for source, message in [
        ((None, "test", ()), "no such folder"),
        ((None, None, ["training.seed=1"]), "export takes data.key=value only"),
        (("no/such", None, ()), "could not be loaded from the Hub"),
    ]:
        with pytest.raises(InputError, match=message):
            evaluation_images(str(run), labels, source)
    with pytest.raises(InputError, match="export: test needs --data, since timm/resnet is not the folder of a run"):
        evaluation_images("timm/resnet", labels, (None, "test", ()))
