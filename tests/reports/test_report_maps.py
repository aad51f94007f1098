"""The section of a report that shows where the model looks: bounded, and never what a report fails for."""

import numpy as np
import pytest
from made_run import made_results, outputs
from test_report_page import ANSWERS, NAMES, page_of, subject_of
from tiny import tiny_model, tiny_processor

from hf_imgcls.reports.report import looks
from hf_imgcls.reports.report.looks import labels_to_explain
from hf_imgcls.scoring.breakdown import break_down
from hf_imgcls.scoring.sets import ScoredSets


@pytest.fixture(autouse=True)
def as_long_as_it_takes(monkeypatch):
    monkeypatch.setattr(looks, "_SECONDS", 1000)


def opened():
    return tiny_model("convnext", NAMES), tiny_processor()


def test_mistakes_have_a_map_for_the_prediction_and_one_for_the_label(explaining, tmp_path):
    page = page_of(tmp_path, subject_of(tmp_path, opened=opened))
    shown = [each["alt"] for each in page.all("img") if "map of what speaks for" in each["alt"]]
    assert len(shown) == 3 * 2 + 2  # three mistakes, and two that are right among the least certain
    first = next(each for each in page.all("img") if each["alt"] in shown)
    assert first["src"].startswith("data:image/jpeg;base64,")
    assert all(any(f"what speaks for {name} 0." in alt for alt in shown) for name in NAMES[:2])
    assert {"href": "#explanations"} in page.all("a")
    assert "Yellow: most in that image, dark blue: nothing" in page.words


def test_a_page_says_why_there_are_no_maps(tmp_path, monkeypatch, request):
    def maps_of(folder, opened):
        (tmp_path / folder).mkdir()
        page = page_of(tmp_path / folder, subject_of(tmp_path / folder, opened=opened))
        assert not [each for each in page.all("img") if "map of" in each["alt"]]
        return page.words

    assert 'No maps: maps need grad-cam: pip install "hf-imgcls[explain]".' in maps_of("missing", opened)
    assert "No maps" not in maps_of("no network", None)
    request.getfixturevalue("explaining")
    model, processor = opened()
    model.convnext = None  # a network that cannot be run
    assert "No maps: no maps of this network" in maps_of("broken", lambda: (model, processor))


def test_no_other_image_is_begun_when_the_time_is_over(explaining, tmp_path, monkeypatch):
    monkeypatch.setattr(looks, "_SECONDS", -1)
    page = page_of(tmp_path, subject_of(tmp_path, opened=opened))
    assert len([each for each in page.all("img") if "map of" in each["alt"]]) == 2
    assert "Maps of 1 of 5 images" in page.words


def test_images_that_are_gone_have_no_map(explaining, tmp_path):
    subject = subject_of(tmp_path, opened=opened)
    for file in (tmp_path / "test").iterdir():
        file.unlink()
    page = page_of(tmp_path, subject)
    assert "Maps of 0 of 5 images: the others cannot be read any more" in page.words


def test_which_labels_of_an_image_are_explained():
    one = outputs([(0, 0), (1, 2)], 3)
    assert list(labels_to_explain(one, 0)) == [0]
    assert list(labels_to_explain(one, 1)) == [2, 1]
    assert labels_to_explain(one, 1)[2] > 0.5 > labels_to_explain(one, 1)[1]
    logits = np.array([[2.0, -2.0, -3.0], [-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]], np.float32)
    has = np.array([[True, True, False], [False, False, False], [True, False, True]])
    several = ScoredSets(logits, has)
    assert list(labels_to_explain(several, 0)) == [1, 0]  # the missed one first
    assert list(labels_to_explain(several, 1)) == [0]  # nothing there and nothing predicted
    assert list(labels_to_explain(several, 2)) == [1, 2]


def test_several_labels_an_image(explaining, tmp_path):
    has = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1]], bool)
    split = ScoredSets(np.where(has, -1.0, 1.0).astype(np.float32), has)
    scores = {"images": 6, "map": 0.8, "macro_f1": 0.7, "loss": 0.4, "map_interval_95": [0.6, 0.9], "map_baseline": 0.4}
    broken = break_down({"test": split}, {"test": scores}, NAMES)
    results = {**made_results(NAMES, ANSWERS), "scores": {"test": scores}, "breakdown": broken, "cautions": {}}
    subject = subject_of(tmp_path, opened=opened)
    page = page_of(tmp_path, subject._replace(results={**results, "duplicates": []}, outputs={"test": split}))
    assert len([each for each in page.all("img") if "map of" in each["alt"]]) == 12
