"""The parity check: the predictions of `pipeline` on a saved folder against the evaluated ones."""

import json

import numpy as np
import pytest
import torch
from conftest import COLOURS, make_image
from safetensors.torch import load_file, save_file

from hf_imgcls.images.transforms import EvalTransform
from hf_imgcls.models.build import build_model
from hf_imgcls.recipe.sections import ModelSection
from hf_imgcls.scoring.scored import choose_rows
from hf_imgcls.serving.parity import TOLERANCE, compare_predictions, describe_parity

LABELS = list(COLOURS)
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"}
VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "patch_size": 8}


def images(folder) -> list[dict]:
    rows = []
    for number, colour in enumerate(LABELS * 2):
        file = folder / f"{colour}{number}.png"
        make_image(colour, number, (40, 30)).save(file)
        value = {"bytes": None, "path": str(file)} if number % 2 else {"bytes": file.read_bytes(), "path": None}
        rows.append({"image": value, "row": number, "label": LABELS.index(colour), "name": file.name})
    return rows


@pytest.fixture(params=[("resnet", RESNET), ("vit", VIT), ("timm/test_resnet", {})], ids=["resnet", "vit", "timm"])
def saved(request, tmp_path):
    """(saved folder, rows, logits)."""
    return save_and_evaluate(tmp_path, *request.param)


@pytest.fixture
def saved_resnet(tmp_path):
    return save_and_evaluate(tmp_path, "resnet", RESNET)


def save_and_evaluate(tmp_path, architecture, config):
    section = ModelSection(architecture=architecture, from_scratch=True, image_size=32, config=config)
    model, processor = build_model(section, LABELS, 0)
    # So that a network that was never trained tells the colours apart: on noise alone every change would be a tie.
    with torch.no_grad():
        for tensor in list(model.parameters())[-2:]:
            tensor.mul_(30)
    folder, rows = tmp_path / "run", images(tmp_path)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    batch = {key: [row[key] for row in rows] for key in ("image", "label")}
    with torch.no_grad():
        pixels = torch.stack(EvalTransform(processor, range(3))(batch)["pixel_values"])
        return folder, rows, model.eval()(pixel_values=pixels).logits.numpy()


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_an_unchanged_folder_passes(saved):
    folder, rows, logits = saved
    verdict = compare_predictions(folder, rows, logits, "cpu", LABELS)
    assert verdict["passed"]
    assert (verdict["images"], verdict["mismatch"]) == (6, None)
    assert verdict["max_difference"] < TOLERANCE / 10
    line = describe_parity({**verdict, "split": "test"})
    assert line.startswith("parity check passed: pipeline() reproduces the evaluated predictions on 6 test images (max")


def change_processor(folder):
    edit(folder / "preprocessor_config.json", lambda content: content.update(image_mean=[0.1, 0.5, 0.9]))


def change_head(folder):
    state = load_file(folder / "model.safetensors")
    key = next(key for key in state if key.endswith("classifier.1.bias"))
    save_file(
        {**state, key: state[key] + torch.tensor([0.0, 9.0, 0.0])}, folder / "model.safetensors", {"format": "pt"}
    )


def swap_labels(folder):
    edit(folder / "config.json", lambda content: content.update(id2label={"0": "green", "1": "blue", "2": "red"}))


def rename_label(folder):
    edit(folder / "config.json", lambda content: content["id2label"].update({"0": "azure", "1": "lime", "2": "rose"}))


def score_with_sigmoids(folder):
    edit(folder / "config.json", lambda content: content.update(problem_type="multi_label_classification"))


@pytest.mark.parametrize("change", [change_processor, change_head, swap_labels, rename_label, score_with_sigmoids])
def test_a_changed_folder_fails_and_the_image_is_named(change, saved_resnet):
    folder, rows, logits = saved_resnet
    change(folder)
    verdict = compare_predictions(folder, rows, logits, "cpu", LABELS)
    assert not verdict["passed"]
    assert verdict["max_difference"] > TOLERANCE
    wrong = verdict["mismatch"]
    worst = next(row for row in rows if row["name"] == wrong["image"])["row"]
    assert wrong["evaluated"]["label"] == LABELS[logits[worst].argmax()]
    assert wrong["evaluated"]["score"] == pytest.approx(torch.tensor(logits[worst]).softmax(0).max().item(), abs=1e-6)
    assert wrong["predicted"]["label"] in ("azure", "lime", "rose", *LABELS)
    line = describe_parity({**verdict, "split": "test"})
    assert f"parity check FAILED: {wrong['image']} was evaluated as {wrong['evaluated']['label']} (" in line
    assert f"pipeline() predicts {wrong['predicted']['label']} (" in line
    json.dumps(verdict, allow_nan=False)


def test_the_image_with_the_largest_difference_is_named(saved_resnet):
    folder, rows, logits = saved_resnet
    logits = logits.copy()
    logits[1] += [0.0, 0.1, 0.0]
    logits[4] += [0.0, 8.0, -8.0]
    logits[5] += [0.0, 0.1, 0.0]
    assert compare_predictions(folder, rows, logits, "cpu", LABELS)["mismatch"]["image"] == rows[4]["name"]
    nameless = [{key: row[key] for key in ("image", "row")} for row in rows]
    assert compare_predictions(folder, nameless, logits, "cpu", LABELS)["mismatch"]["image"] == "row 4"


def predict_always(folder, *logits: float):
    """Let a saved ResNet give the same logits for any image."""
    state = load_file(folder / "model.safetensors")
    head = {"classifier.1.weight": torch.zeros(3, 12), "classifier.1.bias": torch.tensor(logits)}
    save_file({**state, **head}, folder / "model.safetensors", {"format": "pt"})


def test_all_classes_are_compared_not_only_the_best(saved_resnet):
    folder, rows, _ = saved_resnet
    predict_always(folder, 2.0, 1.0, 0.0)
    verdict = compare_predictions(folder, rows, np.tile([2.0, 0.0, 1.0], (len(rows), 1)), "cpu", LABELS)
    assert not verdict["passed"]
    assert verdict["mismatch"]["evaluated"] == pytest.approx(verdict["mismatch"]["predicted"])


def test_a_tie_within_the_tolerance_does_not_fail(saved_resnet):
    folder, rows, _ = saved_resnet
    predict_always(folder, 1.0, 1.0, 0.0)
    logits = np.tile([1.0, 1.0 + TOLERANCE / 2, 0.0], (len(rows), 1))
    verdict = compare_predictions(folder, rows, logits, "cpu", LABELS)
    assert verdict["passed"]
    assert 0 < verdict["max_difference"] < TOLERANCE
    logits[0, 1] += 10 * TOLERANCE
    assert not compare_predictions(folder, rows, logits, "cpu", LABELS)["passed"]


@pytest.mark.parametrize(("highest", "passed"), [(60.0, True), (6.0, False)])
def test_rounding_is_relative_to_large_logits(highest, passed, saved_resnet):
    folder, rows, _ = saved_resnet
    predict_always(folder, highest, highest - 0.5, 0.0)
    verdict = compare_predictions(
        folder, rows, np.tile([highest + 1e-3, highest - 0.5, 0.0], (len(rows), 1)), "cpu", LABELS
    )
    assert verdict["passed"] is passed
    assert verdict["max_difference"] > TOLERANCE


def test_nan_scores_fail(saved_resnet):
    folder, rows, logits = saved_resnet
    state = load_file(folder / "model.safetensors")
    save_file(
        {key: value * float("nan") for key, value in state.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    verdict = compare_predictions(folder, rows, np.full_like(logits, np.nan), "cpu", LABELS)
    assert (verdict["passed"], verdict["max_difference"]) == (False, 1.0)


def test_the_number_of_rows_must_match_the_logits(saved_resnet):
    folder, rows, logits = saved_resnet
    with pytest.raises(ValueError, match="zip"):
        compare_predictions(folder, rows[:-1], logits, "cpu", LABELS)


def test_a_small_split_is_compared_whole_and_a_large_one_by_a_seeded_sample():
    assert choose_rows(500, 1).tolist() == list(range(500))
    sample = choose_rows(5000, 1)
    assert len(set(sample.tolist())) == 500
    assert sample.tolist() == sorted(sample.tolist())
    assert (sample.min() >= 0, sample.max() < 5000) == (True, True)
    assert sample.tolist() == choose_rows(5000, 1).tolist()
    assert sample.tolist() != choose_rows(5000, 2).tolist()
