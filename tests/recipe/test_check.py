"""What is known of a recipe without torch, and the cache that it is known from."""

import json

import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.models.registry import BUILT_IN
from hf_imgcls.recipe import installed as module
from hf_imgcls.recipe import load_recipe
from hf_imgcls.recipe.check import BUILT_IN_ARCHITECTURES, check_path, check_settings
from hf_imgcls.recipe.installed import as_type, cached_json, installed
from hf_imgcls.recipe.sections import DataSection
from hf_imgcls.recipe.transforms import check_transforms

SMALL = {"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": {"output_dir": "runs/x"}}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_imgcls.store.cache.cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.path=no/such/folder/", "data.path: 'no/such/folder/' does not exist"),
        ("model.checkpoint=./no/such", "model.checkpoint: no folder './no/such'"),
        ('model={"architecture":"resne","from_scratch":true}', "transformers has no 'resne'; did you mean \"resnet\"?"),
        (
            'augmentation.train=["RandomResizedCro"]',
            "no transform 'RandomResizedCro'; did you mean \"RandomResizedCrop\"?",
        ),
        ('augmentation.train=[{"Resize":{"sise":3}}]', "augmentation.train.0.Resize.sise: unknown argument"),
        ('augmentation.mix=["Mixup"]', 'did you mean "MixUp"?'),
        ('stages=[{"augmentation":{"train":["Flip"]}}]', "stages.0.augmentation.train.0: torchvision.transforms.v2"),
    ],
)
def test_what_is_found_without_torch(override, message):
    with pytest.raises(InputError) as caught:
        check_settings(load_recipe(SMALL, [override]))
    assert message in str(caught.value)


def test_built_in_architectures_and_those_of_timm_are_known():
    assert set(BUILT_IN_ARCHITECTURES) == {config.model_type for config in BUILT_IN}
    for name in (*BUILT_IN_ARCHITECTURES, "timm/resnet18", "vit"):
        check_settings(load_recipe(SMALL, [f'model={{"architecture":"{name}","from_scratch":true}}']))


def test_a_custom_transform_is_known_by_its_name():
    check_transforms([{"MyCrop": {"by": 3}}, {"RandomApply": {"transforms": ["MyCrop"]}}], ["MyCrop"])
    with pytest.raises(InputError, match=r"train.1: .* no transform 'MyCro'; did you mean \"MyCrop\""):
        check_transforms(["MyCrop", "MyCro"], ["MyCrop"])


def test_a_path_exists_or_could_be_a_hub_id(tmp_path):
    check_path(DataSection(path="ethz/food101"))
    check_path(DataSection(path=str(tmp_path)))
    for path in (str(tmp_path / "nowhere"), "labels.csv"):
        with pytest.raises(InputError, match="does not exist"):
            check_path(DataSection(path=path))


def test_what_is_installed_survives_the_cache():
    assert json.loads(json.dumps(installed())) == installed()
    training = installed()["training"]
    assert as_type(training["num_train_epochs"]["type"]) is float
    assert as_type(training["run_name"]["type"]) == str | None
    assert as_type(training["report_to"]["type"]) == None | str | list[str]
    assert "cosine" in training["lr_scheduler_type"]["type"][0]["values"]
    assert "size" in installed()["transforms"]["Resize"]


def test_the_cache_is_read_and_rebuilt_where_it_cannot_be_read(cache):
    made = []
    for _ in range(2):
        assert cached_json("here", "key", lambda: made.append(1) or {"a": 1}) == {"a": 1}
    assert made == [1]
    (file,) = cache.glob("here/*/content.json")
    file.write_text("{")
    assert cached_json("here", "key", lambda: {"a": 2}) == {"a": 2}
    assert json.loads(file.read_text()) == {"a": 2}


@pytest.mark.parametrize("what", ["key", "torchvision", "source"])
def test_another_key_version_or_source_is_asked_again(cache, monkeypatch, what):
    cached_json("here", "key", lambda: 1)
    if what == "torchvision":
        monkeypatch.setattr(module, "_versions", lambda: {"torchvision": "9"})
    if what == "source":
        monkeypatch.setattr(module, "_digest", lambda source: "another")
    assert cached_json("here", "other" if what == "key" else "key", lambda: 2) == 2


def test_a_cache_that_cannot_be_written_is_done_without(cache):
    cache.write_text("a file, not a folder")
    assert cached_json("here", "key", lambda: 3) == 3
