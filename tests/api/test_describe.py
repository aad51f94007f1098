"""hf-imgcls describe: the table, what trains in each stage, and wrong values."""

import shutil
from pathlib import Path

import pytest
from tiny import tiny_model, tiny_processor

from hf_imgcls.api import describe_network
from hf_imgcls.cli import main

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def recipe(tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    return {
        "data": {"path": "photos", "label_names": ["a", "b", "c", "d"]},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "stages": [{"train": "head"}, {"train": {"last_blocks": 1}}, {"train": "all"}],
        "training": {"output_dir": str(tmp_path / "run")},
    }


def row(lines: list[str], name: str) -> list[str]:
    return next(line.split() for line in lines if line.split()[:1] == [name])


def test_what_trains_in_each_stage_without_weights_or_data(recipe, tmp_path):
    (tmp_path / "checkpoint" / "model.safetensors").unlink()
    lines = describe_network(recipe)
    assert lines[0] == "ViTForImageClassification: image 3 x 16 x 16, 4 classes (data.label_names)"
    heads = 16 * 4 + 4
    assert row(lines, "classifier") == ["classifier", "Linear", "4", str(heads), "128", "trains", "trains", "trains"]
    assert row(lines, "vit.layers.0")[-3:] == ["frozen", "frozen", "trains"]
    assert row(lines, "vit.layers.1")[-3:] == ["frozen", "trains", "trains"]
    assert row(lines, "vit")[-3:] == ["frozen", "partly", "trains"]
    total = tiny_model("vit", list("abcd")).num_parameters()
    assert any(line.startswith(f"in total: {total:,} parameters; ") for line in lines)
    assert f"stage 1: trains {heads} of {total:,} parameters" in lines[-3]
    assert lines[-1] == f"stage 3: trains all {total:,} parameters"
    assert not (tmp_path / "run").exists()


def test_the_table_is_as_deep_as_was_asked_for_or_as_fits(recipe):
    assert len(describe_network(recipe)) <= 40 + 6
    shallow = describe_network(recipe, depth=1)
    assert [line.split()[0] for line in shallow[2:-4]] == ["vit", "classifier"]
    assert len(describe_network(recipe, depth=99)) > len(describe_network(recipe, depth=2))


def test_the_number_of_classes_is_the_datas_or_said_to_be_assumed(recipe, make_folder):
    recipe["data"] = {"path": "somebody/photos"}
    assert "2 classes (assumed, the data is not on this machine; --classes" in describe_network(recipe)[0]
    assert "7 classes (as asked for)" in describe_network(recipe, classes=7)[0]
    recipe["data"]["path"] = str(make_folder(3))
    assert f"3 classes ({recipe['data']['path']})" in describe_network(recipe)[0]


def test_the_command_on_a_shipped_recipe_and_wrong_values(tmp_path, capsys):
    path = shutil.copy(RECIPES / "mnist_convnet.json", tmp_path)
    assert main(["describe", str(path), "--classes", "10", 'model.config={"filters":[8],"num_channels":1}']) == 0
    assert "convolutions.0  Conv2d      8 x 26 x 26" in capsys.readouterr().out
    for wrong, line in [
        (["--depth", "0"], "depth: found 0, expected an integer of 1 to 1,000,000"),
        (["--classes", "1"], "classes: found 1, expected an integer of 2 to 1,000,000"),
        (["--classes", "99999999999"], "classes: found 99999999999, expected an integer of 2 to 1,000,000"),
        (["model.config.padding=full"], "model.config.padding: 'full', must be valid or same"),
        (['stages=[{"train": ["nothing"]}]'], "stages.0.train.0: 'nothing' matches no parameter"),
        (["model.confg.x=1"], 'model.confg: unknown key; did you mean "config"?'),
    ]:
        assert main(["describe", str(path), *wrong]) == 2
        out, err = capsys.readouterr()
        assert line in err
        assert (out, err.count("\n")) == ("", 1)
