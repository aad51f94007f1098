"""Temperature scaling in a run: saved in the head, served, scored and reported."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls import InputError, evaluate_classifier, train_classifier
from hf_imgcls.api.calibrate import check_can_calibrate
from hf_imgcls.data import Data
from hf_imgcls.recipe import load_recipe

KEY = "calibration.temperature_scaling=true"


@pytest.fixture
def recipe(make_folder, tmp_path):
    model = tiny_model("vit")
    model.save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    return {
        "data": {"path": str(make_folder(train=4, validation=4, test=4))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "training": {
            "output_dir": str(tmp_path / "run"), "max_steps": 1, "learning_rate": 1e-5, "disable_tqdm": True,
            "eval_strategy": "no", "save_strategy": "no", "per_device_train_batch_size": 4,
        },
    }  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_the_saved_model_has_the_temperature_and_everything_agrees_with_it(recipe, tmp_path, capsys):
    plain = train_classifier(recipe)
    run = tmp_path / "calibrated"
    results = train_classifier(recipe, [f"training.output_dir={run}", KEY])
    assert results["parity"]["passed"]
    found, said = results["temperature"], capsys.readouterr().out
    assert f"calibration: logits are divided by {found['value']:.4g}, a temperature that was fitted on 12" in said
    for split, both in found["splits"].items():
        assert both["before"]["loss"] == plain["scores"][split]["loss"]
        assert both["after"]["loss"] == results["scores"][split]["loss"]
        assert results["scores"][split]["accuracy"] == plain["scores"][split]["accuracy"]
    assert found["splits"]["validation"]["after"]["loss"] < found["splits"]["validation"]["before"]["loss"]
    assert evaluate_classifier(run, recipe["data"]["path"])["scores"]["loss"] == pytest.approx(
        results["scores"]["test"]["loss"], abs=1e-5
    )
    assert "Scores are calibrated by temperature scaling" in (run / "README.md").read_text()
    assert json.loads((run / "report/report.json").read_text())["temperature"] == {"applied": True, **found}
    # The report of the plain run says what that would be.
    told = json.loads((tmp_path / "run/report/report.json").read_text())["temperature"]
    assert told["applied"] is False
    assert told["value"] == pytest.approx(found["value"], rel=1e-4)
    before, after = (pq.read_table(each / "report/predictions.parquet").to_pydict() for each in (tmp_path / "run", run))
    assert before["prediction"] == after["prediction"]
    logits = np.log(np.array(before["scores"], float)) / found["value"]
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), after["scores"], atol=1e-5)


def test_without_a_validation_split_it_is_refused_before_training(recipe):
    with pytest.raises(InputError, match="there is no validation split to fit a temperature on"):
        check_can_calibrate(load_recipe(recipe, [KEY]), Data({"train": []}, ["a", "b"]))
