"""Runs beside each other: read from their reports, paired by file and label, refused where they do not go together."""

import json

import numpy as np
import pytest
from made_run import from_logits
from scored_run import NAMES, drawn, evaluation, scored_run, set_logits

from hf_imgcls.errors import InputError
from hf_imgcls.reports.comparison.content import compare_content
from hf_imgcls.reports.comparison.lines import describe_comparison, is_shown
from hf_imgcls.reports.comparison.pair import pair_runs
from hf_imgcls.reports.comparison.read import read_runs
from hf_imgcls.scoring.comparison import compare_splits
from hf_imgcls.scoring.sets import ScoredSets

LABELS = np.random.default_rng(0).integers(0, 7, 60)
FILES = [f"test/{i:03d}.jpg" for i in range(60)]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    for module in ("bootstrap", "comparison"):
        monkeypatch.setattr(f"hf_imgcls.scoring.{module}._DRAWS", 40)
        monkeypatch.setattr(f"hf_imgcls.scoring.{module}._LEAST", 40)


def compare(*folders, **how) -> dict:
    runs = read_runs(folders)
    return compare_content(runs, pair_runs(runs, **how))


def lines_of(*folders, **how) -> str:
    return "\n".join(describe_comparison(compare(*folders, **how)))


@pytest.fixture
def pair(tmp_path):
    return [scored_run(tmp_path / name, drawn(seed, LABELS), LABELS) for seed, name in enumerate("ab")]


def test_the_rows_of_a_report_give_the_scores_of_the_run(tmp_path):
    logits = [drawn(seed, LABELS) for seed in range(2)]
    logits[1][3] = np.nan
    logits[0][5, :] = 0.25  # all equal
    folders = [scored_run(tmp_path / name, each, LABELS, kappa=0.5) for name, each in zip("ab", logits, strict=True)]
    content = compare(*folders)
    text = "\n".join(describe_comparison(content))
    for folder, run in zip(folders, content["runs"], strict=True):
        own = json.loads((folder / "results.json").read_text())["scores"]["test"]
        assert run["scores"].pop("accuracy_interval_95") == own.pop("accuracy_interval_95")
        assert run["scores"] == pytest.approx(own, abs=1e-6, nan_ok=True)
        assert {"accuracy", "top5_accuracy", "macro_f1"} <= own.keys()
        assert run["seconds"] == 61.0
    expected = compare_splits([from_logits(each, LABELS) for each in logits])
    for key in ("changed", "to_right", "to_wrong", "both_right", "p_value", "top5_accuracy", "accuracy", "macro_f1"):
        assert content["comparisons"][0][key] == expected[0][key], key
    failed = next(each for each in content["differing"] if each["file"] == FILES[3])
    assert failed["runs"]["b"] == {"prediction": None, "right": False, "score": None, "loss": None}
    assert content["differing"][0]["runs"]["b"]["right"] or failed == content["differing"][0]
    assert "b against a: loss cannot be compared: an image has no scores" in text


def test_images_that_differ_are_listed_by_who_is_right(pair):
    content = compare(*pair)
    logits = [drawn(seed, LABELS) for seed in range(2)]
    places = [i for i in range(60) if logits[0][i].argmax() != logits[1][i].argmax()]
    assert sorted(each["file"] for each in content["differing"]) == [FILES[i] for i in places]
    rights = [tuple(own["right"] for own in each["runs"].values()) for each in content["differing"]]
    assert rights == sorted(rights, key=[(False, True), (True, False), (False, False)].index)
    first = content["differing"][0]
    place = FILES.index(first["file"])
    assert first["label"] == NAMES[LABELS[place]]
    assert first["runs"]["a"]["prediction"] == NAMES[logits[0][place].argmax()]
    gains = [each["runs"]["a"]["loss"] - each["runs"]["b"]["loss"] for each in content["differing"]]
    assert gains[0] == max(gains)
    text = lines_of(*pair)
    assert (
        f"b against a: accuracy {content['comparisons'][0]['accuracy']['change']:+.4f} (95 % interval, paired: " in text
    )
    assert "McNemar's exact test: p = " in text
    assert f"  {first['file']}: label {first['label']}; a " in text
    assert "recipes: they do not differ" in text


def test_images_are_paired_by_name_in_whatever_order_they_were_scored(tmp_path, pair):
    order = np.random.default_rng(1).permutation(60)
    again = scored_run(
        tmp_path / "c", drawn(1, LABELS)[order], LABELS[order], files=[FILES[i] for i in order], fingerprint="shuffled"
    )
    straight, shuffled = compare(*pair), compare(pair[0], again)
    assert shuffled["comparisons"][0] == {**straight["comparisons"][0], "run": "c"}
    assert shuffled["notes"] == ["images are the same by name and label; whether their contents are was not compared"]
    assert straight["notes"] == []
    # One file that a table names twice is two images, each paired with one.
    twice = ["x.jpg", "x.jpg", *FILES[2:]]
    both = [scored_run(tmp_path / name, drawn(seed, LABELS), LABELS, files=twice) for seed, name in enumerate("de")]
    assert compare(*both)["images"] == 60


def test_some_images_are_compared_only_when_asked_for(tmp_path, pair):
    fewer = scored_run(tmp_path / "few", drawn(1, LABELS)[10:], LABELS[10:], files=FILES[10:], fingerprint="other")
    with pytest.raises(InputError, match=r"60 in a, 50 in few, 50 in all of them \(--common .*; test/000.jpg is not"):
        compare(pair[0], fewer)
    content = compare(pair[0], fewer, common=True)
    assert (content["images"], content["whole"]) == (50, False)
    assert content["runs"][0]["scores"]["accuracy"] == np.mean(drawn(0, LABELS)[10:].argmax(1) == LABELS[10:])
    assert "50 images that all of them scored, of 60 in a, 50 in few: not the whole split" in content["notes"]
    assert "note: 50 images that all of them scored" in "\n".join(describe_comparison(content))


def test_several_runs_are_compared_with_the_first_and_corrected(tmp_path, pair):
    third = scored_run(tmp_path / "b2", drawn(3, LABELS, 5.0), LABELS, recipe={"training": {"learning_rate": 0.1}})
    text = lines_of(*pair, third)
    assert "b2 against a: accuracy" in text
    assert "corrected for 2 comparisons" in text
    assert "2 comparisons with a: p-values are corrected after Holm; each interval is 95 % by itself" in text
    assert "recipes: training.learning_rate: a not set; b not set; b2 0.1" in text


def test_a_difference_is_shown_by_what_is_left_of_it_after_the_correction():
    found = {"p_value": 0.03, "p_corrected": 0.06, "loss": {"change": 1.0, "interval_95": [0.5, 1.5]}}
    assert not is_shown(found, "accuracy")
    assert is_shown({**found, "p_corrected": 0.03}, "accuracy")
    assert is_shown(found, "loss")
    assert not is_shown({"loss": {"change": 0.1, "interval_95": [-0.5, 1.5]}}, "loss")


def test_several_labels_an_image_and_streams(tmp_path):
    has = np.random.default_rng(0).random((60, 7)) < 0.3
    both = [scored_run(tmp_path / f"m{seed}", set_logits(seed, has), has) for seed in range(2)]
    content = compare(*both)
    splits = [ScoredSets(set_logits(seed, has).astype(np.float32), has, None, np.full(7, 0.4)) for seed in range(2)]
    expected = compare_splits(splits)[0]
    found = content["comparisons"][0]
    assert {key: found[key] for key in ("changed", "to_right", "to_wrong", "both_right")} == {
        key: expected[key] for key in ("changed", "to_right", "to_wrong", "both_right")
    }
    assert found["map"]["change"] == pytest.approx(expected["map"]["change"], abs=1e-5)
    assert "labels right in m1 alone" in "\n".join(describe_comparison(content))
    assert "m1 against m0: mAP" in "\n".join(describe_comparison(content))

    streams = [scored_run(tmp_path / f"s{seed}", drawn(seed, LABELS), LABELS, files=None) for seed in range(2)]
    assert compare(*streams)["notes"][0].startswith("images of a stream have no names")
    moved = scored_run(tmp_path / "moved", drawn(1, LABELS[::-1]), LABELS[::-1], files=None)
    for other in (moved, scored_run(tmp_path / "named", drawn(1, LABELS), LABELS)):
        with pytest.raises(InputError, match="the images of test have no names in s0"):
            compare(streams[0], other)


def test_an_evaluation_is_compared_by_the_recipe_of_its_model(tmp_path, pair):
    trained = tmp_path / "trained"
    scored_run(trained, drawn(4, LABELS), LABELS, recipe={"training": {"learning_rate": 3.0}}, time={"run": 7.0})
    of_run = evaluation(tmp_path / "eval", str(trained), drawn(4, LABELS), LABELS)
    of_hub = evaluation(tmp_path / "hub", "org/other", drawn(5, LABELS), LABELS)
    content = compare(pair[0], of_run, of_hub)
    assert content["recipes"]["eval"]["training.learning_rate"] == 3.0
    assert content["recipes"]["hub"]["model.checkpoint"] == "org/other"
    assert [run["seconds"] for run in content["runs"]] == [61.0, 7.0, None]
    text = "\n".join(describe_comparison(content))
    assert "eval: 12 images of test are in train" in text
    assert content["notes"] == []
