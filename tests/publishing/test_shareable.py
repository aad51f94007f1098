"""The files of a run's folder that go to the Hub."""

import json

from finished import finished_run

from hf_imgcls.publishing.shareable import shareable_files
from hf_imgcls.words import without_paths


def test_no_absolute_path_is_left_and_nothing_else_is_changed():
    for text, left in {
        "/home/me/my photos": "my photos",
        "~/photos": "photos",
        "C:\\Users\\me\\photos": "photos",
        "(looked in /home/me/photos)": "(looked in photos)",
        "https://host/home/me": "https://host/home/me",
        "photos/home/me, and/or 1/2": "photos/home/me, and/or 1/2",
        "/m/01yrx": "/m/01yrx",
    }.items():
        assert without_paths({"a": [text, 1, None]}, {"/m/01yrx"}) == {"a": [left, 1, None]}


def test_a_command_is_cut_word_by_word():
    command = "/home/me/.venv/bin/hf-imgcls train r.json data.path=/photos 'a=/home/me/my photos' --start-over"
    clean = without_paths({"command": command}, set())["command"]
    assert clean == "hf-imgcls train r.json data.path=photos 'a=my photos' --start-over"
    assert without_paths({"command": "train  'x"}, set())["command"] == "train  'x"


def test_labels_that_look_like_paths_stay(tmp_path):
    run = finished_run(tmp_path / "colours")
    results = {"labels": ["/tmp/cat", "dog"], "parity": None, "command": "/tmp/x"}
    (run / "results.json").write_text(json.dumps(results))
    sent = json.loads(shareable_files(run)["results.json"])
    assert (sent["labels"], sent["command"]) == (["/tmp/cat", "dog"], "x")


def test_names_and_digests_of_training_images_stay_here(tmp_path):
    run = finished_run(tmp_path / "colours")
    (run / "digests.npz").write_bytes(b"digests")
    overlap = {"split": "test", "other": "train", "images": 1, "examples": [{"other_file": "patient_7.png"}]}
    shared = {"split": "test", "other": "train", "images": 1, "examples": ["Mrs Smith"]}
    results = {"labels": ["cat"], "parity": None, "duplicates": [overlap], "groups": [shared]}
    (run / "results.json").write_text(json.dumps(results))
    sent = shareable_files(run)
    assert "digests.npz" not in sent
    assert json.loads(sent["results.json"])["duplicates"] == [{**overlap, "examples": []}]
    assert json.loads(sent["results.json"])["groups"] == [{**shared, "examples": []}]
