"""Exports that fail, are damaged or would overwrite something: one line, and nothing is lost."""

import json
import shutil
import socket
from pathlib import Path

import onnxruntime
import pytest
import torch
from exporting import one_line, save

from hf_imgcls.cli import main
from hf_imgcls.errors import InputError
from hf_imgcls.models.convnet import ConvNetForImageClassification
from hf_imgcls.serving.export.folder import new_folder
from hf_imgcls.serving.onnx import write as onnx_folder
from hf_imgcls.serving.onnx.write import write_onnx
from hf_imgcls.serving.open import FORMATS, open_classifier


def fail(*arguments, **named):
    print("pages of progress")
    raise torch.onnx.OnnxExporterError("a page") from ValueError("the cause\nand more")


@pytest.fixture
def exported(exported_run, tmp_path) -> Path:
    folder = tmp_path / "onnx"
    folder.mkdir()
    for path in exported_run[1].iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


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
