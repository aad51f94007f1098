"""The model card of unusual runs: strange names, local paths, a failed check, nothing scored, own code."""

import json
import re

import pytest
from made_run import made_results, two_classes, write
from test_card import rows

from hf_imgcls.reports.card.metadata import _ids
from hf_imgcls.words import without_paths


def test_nothing_in_a_card_acts_on_a_terminal_or_leads_elsewhere(tmp_path):
    names = ["\x1b[31mred\u202e", "www.evil.org &lt;", "https://evil.org", "x" * 5000]
    results = made_results(names, {"test": [(n, (n + 1) % 4) for n in range(4)]})
    text = write(tmp_path / "run", {**results, "notes": ["\x1b]0;x\x07"], "hardware": "\x9b2J"})
    assert all(line.isprintable() for line in text.replace("\u00a0", " ").split("\n"))
    assert r"www\.evil.org \&lt;" in text
    assert not re.search(r"www\.evil|https://evil", text), "which the Hub would make links of"
    assert len(text) < 20_000


@pytest.mark.parametrize(
    ("named", "known"),
    [
        ("a/b", "a/b"),
        (["a/b", "c d"], ["a/b"]),
        ("[x](http://evil.org)", None),
        ("a\nb: c", None),
        (5, None),
        ({}, None),
    ],
)
def test_only_a_hub_id_is_a_base_model(named, known):
    assert _ids(named) == known


@pytest.mark.parametrize("place", ["absolute", "relative", "home"])
def test_no_local_path_is_in_the_card(place, tmp_path, monkeypatch):
    for name in ("weights", "photos"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    root = {"absolute": f"{tmp_path}/", "relative": "./", "home": "~/"}[place]
    answers = {"evaluated": {"label": "cat", "score": 0.9}, "predicted": {"label": "dog", "score": 0.8}}
    results = {
        **two_classes(),
        "command": f"{tmp_path}/bin/hf-imgcls train {tmp_path}/r.json 'data={{\"path\": \"{root}photos\"}}'",
        "notes": [f"test: {tmp_path}/photos/test.csv has no column 'label'; it is not scored"],
        "parity": {
            "passed": False, "split": "test", "images": 9,
            "mismatch": {"image": f"{tmp_path}/photos/1.jpg", **answers},
        },
    }  # fmt: skip
    text = write(
        tmp_path / "run", results, model={"checkpoint": f"{root}weights"}, data={"path": f"{root}photos"}
    )  # fmt: skip
    assert str(tmp_path) not in text
    assert not re.search(r"[\s\"'(`=](/|~/)\w", text)
    assert "the weights `weights`" in text
    assert "Dataset: `photos`." in text
    assert "test.csv has no column" in text


def test_what_looks_like_a_path_is_cut_only_where_it_is_one():
    assert without_paths({"path": "/a/b c/d", "ratio": "1/2", "n": 3, "label_names": ["/m/01"]}) == {
        "path": "d", "ratio": "1/2", "n": 3, "label_names": ["/m/01"],
    }  # fmt: skip
    assert without_paths("C:\\Users\\me\\photos") == "photos"
    assert without_paths("see https://example.org/a/b and recipes/x.json, and/or") == (
        "see https://example.org/a/b and recipes/x.json, and/or"
    )


def test_a_failed_parity_check_is_said_first(tmp_path):
    answers = {"evaluated": {"label": "cat", "score": 0.9}, "predicted": {"label": "dog", "score": 0.8}}
    verdict = {"passed": False, "images": 9, "of": 9, "split": "test", "mismatch": {"image": "1.jpg", **answers}}
    text = write(tmp_path / "run", {**two_classes(), "parity": verdict})
    assert "parity check FAILED: 1.jpg was evaluated as cat (0.9000), pipeline() predicts dog (0.8000)" in text
    assert text.index("**Parity check failed: no metric") < text.index("## Use")
    assert "reproduces the evaluated" not in text


def test_a_run_without_anything_to_score(tmp_path):
    results = {**two_classes(), "scores": {}, "breakdown": {}, "parity": None, "images": {}}
    text = write(tmp_path / "run", results)
    assert "It was not scored" in text
    assert "## Results" not in text
    assert "streamed" in text


def test_a_run_of_an_earlier_version_has_a_card_too(tmp_path):
    results = {key: value for key, value in two_classes().items() if key != "breakdown"}
    text = write(tmp_path / "run", results)
    assert ["Macro-F1", "0.8990", "0.8769"] in rows(text, " ")
    assert "### Classes" not in text


def test_a_network_from_scratch_has_no_base(tmp_path):
    text = write(tmp_path / "run", model={"architecture": "resnet", "from_scratch": True})
    assert ", trained from scratch, " in text
    assert "google" not in text


def test_the_five_lines_of_use_are_python(tmp_path):
    text = write(tmp_path / "run")
    code = re.search(r"```python\n(.*?)\n```", text, re.DOTALL)[1]
    compile(code, "card", "exec")
    assert len([line for line in code.splitlines() if line]) <= 5
    assert 'model="run")' in code
    assert 'model="someone/food")' in write(tmp_path / "run", training={"hub_model_id": "someone/food"})


def test_a_network_with_code_of_its_own_is_opened_with_trust(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    code = {"AutoModelForImageClassification": "convnet.ConvNetForImageClassification"}
    (run / "config.json").write_text(json.dumps({"auto_map": code, "architectures": ["ConvNet"]}))
    assert 'model="run")' in write(run)  # code that does not lie beside the weights is not to be trusted
    (run / "convnet.py").write_text("")
    text = write(run)
    assert 'model="run", trust_remote_code=True)' in text
    assert "its code comes with the model, in `convnet.py`" in text
    assert "A `ConvNet` (2,225,858 parameters)" in text
