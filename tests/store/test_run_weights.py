"""A finished run's weights are compared with what it wrote wherever they are opened."""

import json
import shutil

import pytest
from conftest import make_image
from finished import finished_run
from safetensors.torch import load_file, save_file

from hf_imgcls.cli import main
from hf_imgcls.errors import InputError
from hf_imgcls.models import build_model, load_network
from hf_imgcls.recipe import ModelSection
from hf_imgcls.store import check_weights, describe_weights, put_in_place, read_json, write_json


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    run = finished_run(tmp_path_factory.mktemp("runs") / "colours")
    write_json(run / "results.json", read_json(run / "results.json") | describe_weights(run))
    return run


@pytest.fixture
def run(good, tmp_path):
    return shutil.copytree(good, tmp_path / "run")


def change_a_bit(run) -> None:
    """In a tensor, so that the file reads as before."""
    content = bytearray((run / "model.safetensors").read_bytes())
    content[-5] ^= 4
    (run / "model.safetensors").write_bytes(content)


def cut(run) -> None:
    tensors = load_file(run / "model.safetensors")
    save_file(dict(list(tensors.items())[1:]), run / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "fault"), [(change_a_bit, "has other content than was written"), (cut, " bytes instead of ")]
)
def test_damaged_weights_of_a_run_are_refused_in_a_line(damage, fault, run, tmp_path, capsys):
    load_network(str(run))
    damage(run)
    make_image("red", 1).save(tmp_path / "a.png")
    for words in (["predict", run, tmp_path / "a.png"], ["evaluate", run, tmp_path], ["push", run]):
        assert main([*map(str, words)]) == 2, words
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"{run}: model.safetensors" in line
        assert fault in line
        assert "put it back from a copy" in line
    with pytest.raises(InputError, match=r"model\.safetensors"):
        build_model(ModelSection(checkpoint=str(run)), ["blue", "green", "red"], 0)


def test_weights_that_no_run_describes_are_opened(run):
    change_a_bit(run)
    for content in ("{}", "[]", "", '{"weights": 3}', '{"weights": {"model.safetensors": "abc"}}'):
        (run / "results.json").write_text(content)
        (run / "manifest.json").write_text(content)
        check_weights(run)
    assert load_network(str(run))[0].config.num_labels == 3


def test_those_of_a_checkpoint_are_compared_too_and_its_settings_may_be_changed(good, tmp_path):
    checkpoint = tmp_path / "checkpoint-4"
    put_in_place(shutil.copytree(good, tmp_path / "checkpoint-4.part" / "checkpoint-4"), checkpoint)
    settings = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(settings | {"label_thresholds": {}}))
    load_network(str(checkpoint))
    (checkpoint / "results.json").unlink()
    change_a_bit(checkpoint)
    with pytest.raises(InputError, match=r"remove its entry from manifest\.json"):
        load_network(str(checkpoint))
