"""The export for browsers: what is in its folder, checked on the page's own pixels, or no folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import COLOURS, make_image
from exporting import make_photos, one_line, predict, save
from tiny import SIZE

from hf_imgcls.cli import main
from hf_imgcls.errors import InputError, ParityError
from hf_imgcls.models.build import load_network
from hf_imgcls.serving.export.check import check_export
from hf_imgcls.serving.export.folder import write_manifest
from hf_imgcls.serving.export.images import CheckImages
from hf_imgcls.serving.onnx.session import open_onnx
from hf_imgcls.serving.open import as_classifier, open_classifier
from hf_imgcls.serving.web import write as web
from hf_imgcls.serving.web.pixels import PagePixels
from hf_imgcls.serving.web.readme import RUNTIME, write_web_readme


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(folder of a run, of its export for browsers)."""
    place = tmp_path_factory.mktemp("exported")
    run = save(place / "colours", "vit", make_photos(place / "photos", train=1, test=4))
    assert main(["export", str(run), "--format", "web"]) == 0
    return run, place / "colours-web"


@pytest.fixture
def copied(exported, tmp_path) -> Path:
    return shutil.copytree(exported[1], tmp_path / "web")


def test_the_folder_has_the_page_and_what_transformers_js_opens(exported):
    run, folder = exported
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "README.md", "config.json", "export.json", "header.js", "image.js", "index.html", "onnx/model.onnx", "page.js",
        "pixels.js", "preprocessing.json", "preprocessor_config.json",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["transformers.js_config"] == {"dtype": "fp32"}
    assert (config["model_type"], config["id2label"]) == ("vit", {str(i): name for i, name in enumerate(COLOURS)})
    graph = onnx.load(folder / "onnx/model.onnx")
    assert [(each.domain, each.version) for each in graph.opset_import] == [("", 20)]
    assert "Attention" not in {node.op_type for node in graph.graph.node}
    about = json.loads((folder / "preprocessing.json").read_text())
    assert (about["model"], about["labels"], about["rounding"]) == ("colours", list(COLOURS), "torch")
    record = json.loads((folder / "export.json").read_text())
    assert set(record["files"]) == files - {"export.json"}
    assert record["checked"]["images"] == 12
    assert 0 < record["checked"]["max_logit_difference"] < 1e-4
    assert str(run.parent) not in "".join(path.read_text() for path in folder.glob("*.*"))


def test_predict_gives_the_same_rows_with_the_pages_pixels(exported, tmp_path):
    run, folder = exported
    assert isinstance(open_classifier(str(folder)).processor, PagePixels)
    photos = run.parent / "photos" / "test"
    ours, theirs = (predict(each, photos, tmp_path / f"{each.name}.csv") for each in exported)
    assert len(theirs) == 12
    assert len({row["label_1"] for row in ours}) > 1
    for row, other in zip(ours, theirs, strict=True):
        for key in row.keys() - {"model"}:
            if key.startswith("score"):
                assert abs(float(row[key]) - float(other[key])) < 1e-5
            else:
                assert row[key] == other[key]


def test_pixels_of_the_page_that_are_not_the_models_fail_the_check(exported):
    run, folder = exported
    network, processor = load_network(str(run))
    original, found = as_classifier("colours", network, processor), open_classifier(str(folder))
    images = CheckImages("test", [{"image": make_image(colour, 5, (41, 30))} for colour in COLOURS], None)
    assert check_export(original, found, images, own_pixels=True)["max_difference"] < 1e-5
    other = found._replace(processor=PagePixels({**found.processor.about, "mean": [0.4, 0.5, 0.5]}))
    with pytest.raises(ParityError, match="parity check FAILED"):
        check_export(original, other, images, own_pixels=True)


def test_what_a_browser_cannot_take_is_refused_and_nothing_is_left(exported, tmp_path, monkeypatch, capsys):
    target = tmp_path / "web"
    words = ["export", str(exported[0]), "--format", "web", "--output", str(target)]
    assert "--quantize is not available for web; leave it out" in one_line(capsys, *words, "--quantize")
    monkeypatch.setattr(web, "write_onnx", lambda network, size, file, opset: Path(f"{file}.data").touch())
    assert "over 2 GB, more than a browser takes; use --format onnx" in one_line(capsys, *words)
    monkeypatch.setattr("hf_imgcls.serving.web.pixels.describe_pixels", lambda processor: {"resize": None})
    assert "export: ViTImageProcessor prepares images in a way of its own" in one_line(capsys, *words)
    assert list(tmp_path.iterdir()) == []


def write_dense(file: Path) -> None:
    """A graph of two dense layers, whose logits are the means of blue, green and red."""
    count = SIZE * SIZE
    wide = np.random.default_rng(0).normal(0, 1e-3, (3 * count, 128)).astype(np.float32)
    wide[:, :3] = np.repeat(np.eye(3)[::-1], count, axis=0) / count
    weights = {"wide": wide, "narrow": np.eye(128, 3, dtype=np.float32)}
    make = onnx.helper.make_node
    nodes = [make("Flatten", ["pixel_values"], ["flat"], axis=1), make("MatMul", ["flat", "wide"], ["hidden"]),
             make("MatMul", ["hidden", "narrow"], ["logits"])]  # fmt: skip
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in [("pixel_values", ["batch", 3, SIZE, SIZE]), ("logits", ["batch", 3])]
    ]
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = onnx.helper.make_graph(nodes, "dense", ends[:1], ends[1:], tensors)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10), file)


def test_the_quantized_graph_is_there_where_it_predicts_the_same(copied, monkeypatch):
    record = json.loads((copied / "export.json").read_text())
    images = CheckImages("test", [{"image": make_image(colour, 5)} for colour in COLOURS] * 2, None)
    line = web.add_quantized(copied, open_classifier(str(copied)), images)
    assert line.startswith("no onnx/model_quantized.onnx: with its dense layers in int8 it would have ")

    write_dense(copied / "onnx/model.onnx")
    write_manifest(copied, record)
    exported = open_classifier(str(copied))
    line = web.add_quantized(copied, exported, images._replace(split=None, reason="no photos"))
    assert line == "no onnx/model_quantized.onnx: whether it predicts the same is measured on real images (no photos)"
    monkeypatch.setattr(
        web, "measure_agreement", lambda *given: {"images": 60, "agreement": 0.983, "max_difference": 1}
    )
    line = web.add_quantized(copied, exported, images)
    assert line.endswith("predicts as float32 does on 98.3 % of 60 images, fewer than 99.0 %")
    assert not (copied / "onnx/model_quantized.onnx").exists()
    assert set(json.loads((copied / "export.json").read_text())["files"]) == set(record["files"])

    monkeypatch.undo()
    line = web.add_quantized(copied, exported, images)
    assert (
        line == "onnx/model_quantized.onnx: 0.1 MB instead of 0.4 MB, predicts as float32 does on 100.0 % of 6 images"
    )
    small = onnx.load(copied / "onnx/model_quantized.onnx")
    assert "MatMulNBits" in {node.op_type for node in small.graph.node}
    pixels = torch.randn(3, 3, SIZE, SIZE)
    found = open_onnx(str(copied), model="onnx/model_quantized.onnx").logits(pixels)
    assert 0 < (found - exported.logits(pixels)).abs().max() < 0.05
    about = json.loads((copied / "export.json").read_text())
    assert about["quantized"]["written"]
    assert 0 < about["quantized"]["max_difference"] < 0.05
    write_web_readme(copied, about)
    assert 'with `dtype: "q8"`, predicts as float32 does on 100.0 % of 6 images' in (copied / "README.md").read_text()


def test_agreement_of_several_labels_is_of_all_that_are_predicted(exported):
    images = CheckImages("test", [{"image": make_image(colour, 5)} for colour in COLOURS], None)
    found = open_classifier(str(exported[1]))
    several = found._replace(
        thresholds=np.full(3, 0.5), to_scores=lambda rows: np.float32([[0.9, 0.4, 0.1]] * len(rows))
    )
    shifted = several._replace(to_scores=lambda rows: np.float32([[0.9, 0.6, 0.1]] * len(rows)))
    assert web.measure_agreement(several, shifted, images)["agreement"] == 0, "the best is the same, the second is not"
    assert web.measure_agreement(several, several, images)["agreement"] == 1


def test_its_readme_says_how_to_serve_it_and_what_transformers_js_knows(copied):
    text = (copied / "README.md").read_text()
    for part in (
        "python -m http.server",
        f"npm pack {RUNTIME}",
        'pipeline("image-classification"',
        "on 12 test images",
    ):
        assert part in text
    assert RUNTIME in (copied / "page.js").read_text()
    about = json.loads((copied / "export.json").read_text())
    pixels, config = (json.loads((copied / name).read_text()) for name in ("preprocessing.json", "config.json"))
    for name, content, line in [
        ("config.json", {**config, "model_type": "timm_wrapper"}, "does not open models of the type timm_wrapper"),
        ("config.json", config, "But it resizes images"),
        ("preprocessing.json", {**pixels, "activation": "sigmoid"}, "would apply a softmax"),
        ("preprocessing.json", {**pixels, "none_of_these": {}}, "It knows nothing of the threshold"),
    ]:
        (copied / name).write_text(json.dumps(content))
        write_web_readme(copied, about)
        assert line in (copied / "README.md").read_text()


def test_a_damaged_folder_is_one_line(copied):
    (copied / "preprocessing.json").write_text("{")
    with pytest.raises(InputError, match="model "):
        open_classifier(str(copied))
    (copied / "preprocessing.json").write_text("{}")
    with pytest.raises(InputError, match=r"preprocessing\.json has been changed; export"):
        open_classifier(str(copied))
