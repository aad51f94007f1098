"""Exporting: a folder with which onnxruntime reproduces the model's predictions, or none; and predicting with it."""

import contextlib
import csv
import io
import json
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from conftest import COLOURS, make_image
from PIL import Image
from tiny import PROCESSORS, SIZE, timm_model, tiny_model, tiny_processor

from hf_imgcls.cli import main
from hf_imgcls.errors import InputError
from hf_imgcls.images.processors import process_image
from hf_imgcls.images.read import read_image
from hf_imgcls.models.build import load_network
from hf_imgcls.models.convnet import ConvNetForImageClassification
from hf_imgcls.scoring.metrics import interval
from hf_imgcls.serving.export.folder import new_folder, write_manifest
from hf_imgcls.serving.export.images import evaluation_images
from hf_imgcls.serving.inference import Classifier, score_function
from hf_imgcls.serving.onnx import write as onnx_folder
from hf_imgcls.serving.onnx.pixels import describe_pixels, prepare, usage
from hf_imgcls.serving.onnx.session import _provider
from hf_imgcls.serving.onnx.write import OPSET, write_onnx
from hf_imgcls.serving.open import FORMATS, ExportFormat, open_classifier


def save(folder: Path, family: str = "convnet", data: Path | None = None) -> Path:
    """A model that predicts the colours; the folder of a run if it has data."""
    model, features = tiny_model(family).eval(), []
    pixels = torch.stack([process_image(tiny_processor(), make_image(colour, 50)) for colour in COLOURS])
    model.classifier.register_forward_hook(lambda module, inputs, outputs: features.append(inputs[0]))
    with torch.no_grad():
        model(pixel_values=pixels)
        middle = features[0].mean(dim=0)
        away = features[0] - middle
        model.classifier.weight.copy_(8 * away / away.square().sum(dim=1, keepdim=True))
        model.classifier.bias.copy_(-model.classifier.weight @ middle)
    model.save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    if data:
        recipe = {"data": {"path": str(data)}, "model": {"checkpoint": "x"}, "training": {"output_dir": str(folder)}}
        (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


def make_photos(root: Path, **splits: int) -> Path:
    for split, count in splits.items():
        for colour in COLOURS:
            (root / split / colour).mkdir(parents=True)
            for number in range(count):
                # Odd and even sides, one of them turned by its EXIF orientation.
                exif = Image.Exif()
                exif[274] = 6 if number == 1 else 1
                shape = (40 + number, 31)
                make_image(colour, number, shape).save(root / split / colour / f"{number}.png", exif=exif)
    return root


@pytest.fixture(scope="module")
def exported_run(tmp_path_factory):
    """(folder of a run, of its export with --quantize, standard output, standard error)."""
    place = tmp_path_factory.mktemp("exported")
    run = save(place / "colours", "vit", make_photos(place / "photos", train=2, test=10))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["export", str(run), "--quantize"]) == 0
    return run, place / "colours-onnx", out.getvalue(), err.getvalue()


def predict(folder: Path, photos: Path, output: Path, *words: str) -> list[dict]:
    assert main(["predict", str(folder), str(photos), "--output", str(output), "--device", "cpu", *words]) == 0
    with output.open() as file:
        return list(csv.DictReader(file))


def one_line(capsys, *words: str, status: int = 2) -> str:
    capsys.readouterr()
    assert main(list(words)) == status
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("hf-imgcls: ")]
    assert len(lines) == 1, printed.err
    assert "Traceback" not in printed.err
    return lines[0]


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


def test_the_code_of_its_readme_runs_without_transformers(exported_run, tmp_path, monkeypatch, capsys):
    run, folder, *_ = exported_run
    photo = run.parent / "photos" / "test" / "red" / "1.png"
    lines = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert "transformers" not in lines
    for name in ("model.onnx", "preprocessing.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    Image.open(photo).save(tmp_path / "photo.jpg", "PNG", exif=Image.open(photo).getexif())
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(lines, found)
    (row,) = predict(run, photo, tmp_path / "answer.csv")
    assert capsys.readouterr().out.splitlines()[0] == row["label_1"]
    wanted = process_image(tiny_processor(), read_image({"bytes": None, "path": str(photo)})).numpy()
    assert np.abs(found["pixels"][0] - wanted).mean() < 0.02
    powers = np.exp(found["logits"] - found["logits"].max())
    assert abs(powers.max() / powers.sum() - float(row["score_1"])) < 0.02  # Pillow and torchvision round differently


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_described_preprocessing_is_what_the_processor_does(name, tmp_path, monkeypatch):
    processor = PROCESSORS[name]()
    about, photo = describe_pixels(processor), make_image("red", 3, (101, 66))
    wanted = process_image(processor, photo).numpy()
    assert about["channel_order"] == ("BGR" if "blue first" in name or "border" in name else "RGB")
    assert (about["resize"] is None) == (name == "PP-LCNet, blue first")  # rounds the longer side to nearest
    if about["resize"]:
        assert np.abs(prepare(photo, about) - wanted).mean() < 0.02
    fed = {}

    class Session:
        def __init__(self, file):
            pass

        def run(self, names, values):
            fed.update(values)
            return [np.eye(3)[None, 1]]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.chdir(tmp_path)
    processor.save_pretrained(tmp_path)
    Path("preprocessing.json").write_text(json.dumps({**about, "labels": ["a", "b", "c"]}))
    photo.save("photo.jpg", "PNG")
    exec(usage(about), {})
    assert fed["pixel_values"].shape == (1, *wanted.shape)
    assert fed["pixel_values"].dtype == np.float32
    assert np.abs(fed["pixel_values"][0] - wanted).mean() < 0.02


@pytest.mark.parametrize("name", ["ViT", "PP-LCNet, blue first"])  # the latter's preprocessing is its processor's
@pytest.mark.parametrize(("by", "confidence"), [("score", 0.665), ("energy", 2.408)])
def test_the_exports_code_says_none_of_these_below_the_threshold(name, by, confidence, tmp_path, monkeypatch, capsys):
    class Session:
        def __init__(self, file):
            pass

        def run(self, names, values):
            return [np.array([[1.0, 2.0, 0.0]], np.float32)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.chdir(tmp_path)
    PROCESSORS[name]().save_pretrained(tmp_path)
    make_image("red", 3).save("photo.jpg")
    for threshold in (confidence - 0.01, confidence + 0.01):
        rejection = {"none_of_these": {"by": by, "threshold": threshold}}
        about = {**describe_pixels(PROCESSORS[name]()), "labels": ["a", "b", "c"], **rejection}
        Path("preprocessing.json").write_text(json.dumps(about))
        exec(usage(about), {})
    assert capsys.readouterr().out.split("\n")[:2] == ["b", "none of these"]


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


def test_an_export_that_predicts_otherwise_is_discarded(exported_run, tmp_path, monkeypatch, capsys):
    place = save(tmp_path / "model", data=exported_run[0].parent / "photos")

    def write_another_network(network, size, file):
        with torch.no_grad():
            network.classifier.bias += torch.tensor([0.02, 0, 0])
        write_onnx(network, size, file)

    monkeypatch.setattr(onnx_folder, "write_onnx", write_another_network)
    before = sorted(path.name for path in tmp_path.iterdir())
    line = one_line(capsys, "export", str(place), "--output", str(tmp_path / "deep" / "er" / "onnx"), status=1)
    assert "parity check FAILED: the model predicts " in line
    assert "the export as " in line
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_files_in_the_output_folder_are_not_lost(exported_run, tmp_path, monkeypatch, capsys):
    place, target = save(tmp_path / "model"), tmp_path / "onnx"

    def refused() -> str:
        before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
        line = one_line(capsys, "export", str(place), "--output", str(target))
        assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "onnx"]
        return line

    target.write_text("")
    assert "is a file" in one_line(capsys, "export", str(place), "--output", str(target))
    target.unlink()
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    assert f"--output: {target} is not empty; name another folder, or remove this one" in refused()
    target.joinpath("thesis.txt").unlink()
    target.rmdir()
    shutil.copytree(exported_run[1], target)
    assert f"{target} is an export already" in one_line(capsys, "export", str(target))

    assert f"--output: {target} has an earlier export; name another folder, or remove this one" in refused()
    shutil.rmtree(target)
    target.mkdir()
    with monkeypatch.context() as broken:
        broken.setattr(torch.onnx, "export", fail)
        assert "torch cannot turn ConvNetForImageClassification into ONNX: ValueError: the cause" in refused()
    assert main(["export", str(place), "--output", str(target)]) == 0
    assert "on 32 synthetic images (" in capsys.readouterr().out
    assert json.loads((target / "export.json").read_text())["model"] == "model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "onnx"]


def test_an_export_is_there_as_a_whole_or_not_at_all(tmp_path):
    left = tmp_path / f".onnx.part-{socket.gethostname()}-999999999"
    other = tmp_path / f".onnx.part-{socket.gethostname()}-1"
    for folder in (left, other):
        folder.mkdir()
        (folder / "model.onnx").write_text("half")
    with new_folder(tmp_path / "onnx") as draft:
        (draft / "model.onnx").write_text("whole")
        assert not (tmp_path / "onnx").exists()
        assert not left.exists(), "what a killed export left is removed, of a live one it stays"
        assert other.exists()
    assert (tmp_path / "onnx" / "model.onnx").read_text() == "whole"
    writing = new_folder(tmp_path / "deep" / "onnx")
    (writing.__enter__() / "model.onnx").write_text("half")
    assert not writing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    writing = new_folder(tmp_path / "new")
    writing.__enter__()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("of another program, meanwhile")
    with pytest.raises(InputError, match="is not empty"):
        writing.__exit__(None, None, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "new", "onnx"]


def fail(*arguments, **named):
    print("pages of progress")
    raise torch.onnx.OnnxExporterError("a page") from ValueError("the cause\nand more")


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError, NameError])
def test_bugs_and_exhausted_memory_are_no_user_errors(error, tmp_path, monkeypatch, capsys):
    def fail(*arguments, **named):
        try:
            raise error("of this machine, or of this package")
        except (MemoryError, torch.OutOfMemoryError) as cause:  # as the exporter wraps whatever it meets
            raise torch.onnx.OnnxExporterError("a page") from cause

    place = save(tmp_path / "model")
    monkeypatch.setattr(torch.onnx, "export", fail)
    if error is NameError:
        with pytest.raises(NameError):
            main(["export", str(place)])
    else:
        assert main(["export", str(place)]) == 1
        assert "memory does not suffice; free some" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


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


def test_a_network_that_torch_cannot_translate_is_one_line(tmp_path, monkeypatch, capsys):
    place, forward = save(tmp_path / "model"), ConvNetForImageClassification.forward
    monkeypatch.setattr(
        ConvNetForImageClassification,
        "forward",
        lambda self, pixel_values, **others: forward(self, pixel_values * (2 if pixel_values.sum() > 7 else 1)),
    )
    line = one_line(capsys, "export", str(place), "--output", str(tmp_path / "onnx"))
    assert "torch cannot turn ConvNetForImageClassification into ONNX: " in line
    assert len(line) < 450
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_int8_without_labelled_images_is_refused_before_anything_is_exported(tmp_path, monkeypatch, capsys):
    place = save(tmp_path / "model")
    monkeypatch.setitem(FORMATS, "onnx", FORMATS["onnx"]._replace(write=fail))
    line = one_line(capsys, "export", str(place), "--quantize")
    assert f"--quantize needs images with labels ({place} is not the folder of a run); name some with --data" in line
    save(place, data=tmp_path / "gone")
    line = one_line(capsys, "export", str(place), "--quantize")
    assert "--quantize needs images with labels (data.path: " in line
    assert "name some with --data" in line


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


@pytest.fixture
def exported(exported_run, tmp_path) -> Path:
    folder = tmp_path / "onnx"
    folder.mkdir()
    for path in exported_run[1].iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_damaged_folder_is_one_line(exported, monkeypatch, capsys):
    def refused(*words: str) -> str:
        return one_line(capsys, "predict", str(exported), "no.png", *words)

    exported_bytes = (exported / "model.onnx").read_bytes()
    (exported / "no.png").touch()
    monkeypatch.chdir(exported)
    (exported / "model.onnx").write_bytes(exported_bytes[:-1] + b"?")
    assert "model.onnx is damaged" in refused()
    (exported / "model.onnx").unlink()
    assert "model.onnx is missing in this export" in refused()
    (exported / "model.onnx").write_bytes(exported_bytes)
    (exported / "preprocessor_config.json").rename(exported / "elsewhere.json")
    assert "has no preprocessor_config.json" in refused()
    (exported / "elsewhere.json").rename(exported / "preprocessor_config.json")
    assert "--device cuda: this onnxruntime does not support it (it has " in refused("--device", "cuda")
    assert "--device warp" in refused("--device", "warp")
    settings = (exported / "config.json").read_text()
    (exported / "config.json").write_text(settings[:-20])
    assert f"model '{exported}': " in refused()
    (exported / "config.json").write_text(settings)
    assert main(["predict", str(exported), "no.png"]) == 0
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert 'onnxruntime is not installed; pip install "hf-imgcls[onnx]"' in refused()
    assert 'pip install "hf-imgcls[onnx]"' in one_line(capsys, "export", "x")


def test_as_many_threads_as_torch_and_an_unsupported_accelerator_is_an_error_only_if_requested(exported, monkeypatch):
    made_with, session = [], onnxruntime.InferenceSession

    def note(file, options, providers):
        made_with.append((options.intra_op_num_threads, providers[0][0]))
        return session(file, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", note)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        open_classifier(str(exported), torch.device("cuda", 1))
        assert made_with == [(3, "CPUExecutionProvider")]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
        with pytest.raises(InputError, match=r"--device cuda:1: onnxruntime .* cannot use it here"):
            open_classifier(str(exported), "cuda:1")
        assert made_with[1][1] == "CUDAExecutionProvider"
    finally:
        torch.set_num_threads(before)


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
