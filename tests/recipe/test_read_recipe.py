"""Recipe files as people save them, and what is no recipe."""

import json
import os

import pytest
from PIL import Image

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import load_recipe

SMALL = {"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": {"output_dir": "runs/x"}}
YAML = """
data: {path: photos}
model:
  checkpoint: some/model
training:
  output_dir: runs/x
  eval_strategy: no
  learning_rate: 1e-4  # in YAML 1.1 this is text
"""


def refusal(path, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_recipe_as_editors_save_it(encoding, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(SMALL), encoding=encoding)
    assert load_recipe(tmp_path / "r.json").data.path == "photos"


def test_a_recipe_in_yaml_has_the_values_of_json(tmp_path):
    (tmp_path / "r.yaml").write_text(YAML)
    training = load_recipe(tmp_path / "r.yaml").training
    assert (training.eval_strategy, training.learning_rate) == ("no", 1e-4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.json", b'{\n // hi\n "data": 1}', "line 2, column 2; JSON has no comments"),
        ("r.json", b'{"data": {"path": "x",},}', "column 23; JSON has no comma before a closing bracket"),
        ("r.json", b"data:\n  path: x\n", "if it is YAML, name it .yaml"),
        ("r.json", b" ", "empty; hf-imgcls recipes lists"),
        ("r.json", b'{"a":' * 50_000, "nested more than 40 deep"),
        ("r.json", b'{"a":' * 60 + b"1" + b"}" * 60, "nested more than 40 deep"),
        ("r.json", b'{"a": NaN}', "NaN is no number of JSON"),
        ("r.json", b'{"a": 1e999}', "a number that is not finite"),
        ("r.json", b'{"a": ' + b"9" * 5_000 + b"}", "a number of thousands of digits"),
        ("r.json", b'{"a": "\\ud800"}', "half of a surrogate pair"),
        ("r.yaml", b"a: &x [1]\nb: *x\n", "an alias, which a recipe has no use for at line 2"),
        ("r.yaml", b"a: 1\na: 2", 'duplicate key "a"'),
        ("r.yaml", b'a: !!python/object/apply:os.system ["echo"]', "could not determine a constructor"),
        ("r.yaml", b"a: [1\nb: 2", "at line 2, column 2"),
        ("r.png", b"", "an image, not a recipe; hf-imgcls predict"),
    ],
)
def test_what_is_no_recipe(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    line = refusal(tmp_path / name)
    assert message in line
    assert name in line


def test_what_is_no_file(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "a.png")
    assert (
        f"a folder of images, not a recipe; hf-imgcls fit {tmp_path} needs none, hf-imgcls init {tmp_path} "
        in refusal(tmp_path)
    )
    (tmp_path / "photos" / "recipe.json").touch()
    assert refusal(tmp_path / "photos").endswith(
        "the folder of a run, not a recipe; its recipe is " + str(tmp_path / "photos/recipe.json")
    )
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        assert "not a regular file" in refusal(path)
    assert "File name too long" in refusal("x" * 5_000)
    assert "no such recipe" in refusal("a\0b")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=3", "epochs: unknown key; in a recipe it is training.num_train_epochs"),
        ("training.lr=1", "training.lr: unknown key; in a recipe it is training.learning_rate"),
        ("data.imgsz=1", "it is model.image_size"),
        ("patience=1", "it is stages.N.early_stopping.patience"),
        ("batch-size=1", "it is training.per_device_train_batch_size"),
        ("seed=1", "it is training.seed"),
        ("training.layer_decay=0.7", "it is optimizer.layer_decay"),
        ("time_limit=60", "there is no such setting; training.max_steps"),
        ("num_classes=3", "the classes come from the data"),
        ("augmentation.train.²=1", "augmentation.train"),
        ("training.seed=" + "9" * 5_000, "override training.seed: a number of thousands of digits"),
        ("training.seed=" + "[" * 50_000, "override training.seed: nested more than 40 deep"),
        ("a." * 30 + "b=1", "31 sections deep"),
    ],
)
def test_overrides_that_are_none(override, message):
    assert message in refusal(SMALL, override)
