"""The metadata of a card as the Hub's own library reads it; nothing is asked of the network."""

import math

import pytest
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
from made_run import two_classes, write

from hf_imgcls.reports.card import metadata as card_metadata

BASE = "google/vit-base-patch16-224-in21k"


def data(folder) -> ModelCardData:
    return ModelCard.load(folder / "README.md").data


def test_the_hubs_library_reads_the_metadata(tmp_path):
    write(tmp_path / "run", description="ViT: a test #1")
    read = data(tmp_path / "run")
    plain = read.to_dict()
    index = plain.pop("model-index")
    assert plain == {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "vision", "hf-imgcls"],
        "base_model": BASE,
        "datasets": ["ethz/food101"],
        "metrics": ["accuracy", "f1"],
    }
    assert (read.model_name, index[0]["name"]) == ("run", "run")
    assert ModelCardData(**read.to_dict()).to_dict() == read.to_dict()


def test_every_metric_of_every_split_has_its_interval(tmp_path):
    results = two_classes()
    write(tmp_path / "run", results, data={"path": "ethz/food101", "name": "small", "revision": "abc"})
    _, found = model_index_to_eval_results(data(tmp_path / "run").to_dict()["model-index"])
    assert {(each.dataset_split, each.metric_type) for each in found} == {
        (split, metric) for split in ("validation", "test") for metric in ("accuracy", "f1", "loss")
    }
    for each in found:
        key = {"f1": "macro_f1"}.get(each.metric_type, each.metric_type)
        assert each.metric_value == results["scores"][each.dataset_split][key]
        interval = each.metric_args["confidence_interval"]
        assert interval == results["breakdown"][each.dataset_split]["intervals_95"][key]
        assert each.metric_args["confidence_level"] == 0.95
        assert (each.task_type, each.dataset_type, each.dataset_config, each.dataset_revision) == (
            "image-classification", "ethz/food101", "small", "abc",
        )  # fmt: skip
        assert each.dataset_args == {
            "images": results["images"][each.dataset_split],
            "fingerprint": results["fingerprints"][each.dataset_split],
        }


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_metric_that_is_no_number_is_left_out(value, tmp_path):
    results = two_classes()
    results["scores"]["test"]["loss"] = value
    text = write(tmp_path / "run", results)
    found = [(each.dataset_split, each.metric_type) for each in data(tmp_path / "run").eval_results]
    assert ("test", "loss") not in found
    assert ("test", "accuracy") in found
    assert "nan" not in text.split("---")[1]


def test_a_folder_is_no_hub_dataset(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in ("mnist", "hdfs://server/photos/*.tar"):
        write(tmp_path / "run", data={"path": path})
        assert data(tmp_path / "run").datasets is None
        assert {each.dataset_type for each in data(tmp_path / "run").eval_results} == {"custom"}


@pytest.mark.parametrize("model", [{"architecture": "timm/resnet18"}, {"checkpoint": BASE}])
def test_a_model_trained_from_scratch_has_no_base(model, tmp_path):
    write(tmp_path / "run", model={**model, "from_scratch": True})
    assert data(tmp_path / "run").base_model is None


def put_in_cache(folder, repository: str, card: str):
    """A repository as the Hub's cache keeps it."""
    place = folder / f"models--{repository.replace('/', '--')}"
    (place / "snapshots" / "c0ffee").mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("c0ffee")
    (place / "snapshots" / "c0ffee" / "README.md").write_text(card)
    return place / "snapshots" / "c0ffee"


def test_the_license_is_that_of_the_base(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    put_in_cache(tmp_path / "cache", BASE, "---\nlicense: apache-2.0\n---\n# ViT\n")
    write(tmp_path / "run")
    assert data(tmp_path / "run").license == "apache-2.0"
    place = put_in_cache(
        tmp_path / "cache", "who/else", "---\nlicense: other\nlicense_name: own\nlicense_link: LICENSE\n---\n"
    )
    for number, checkpoint in enumerate(("who/else", str(place))):
        run = tmp_path / f"other-{number}"
        write(run, model={"checkpoint": checkpoint})
        found = data(run).to_dict()
        assert found["base_model"] == "who/else"
        assert (found["license"], found["license_name"]) == ("other", "own")
        assert found["license_link"] == "https://huggingface.co/who/else/blob/main/LICENSE"
        assert str(tmp_path) not in (run / "README.md").read_text()


def test_an_unreachable_base_card_is_no_error(tmp_path, monkeypatch):
    def unreachable(*args, **options):
        raise ConnectionError

    monkeypatch.setattr(card_metadata, "hf_hub_download", unreachable)
    write(tmp_path / "run")
    assert data(tmp_path / "run").base_model == BASE
    assert data(tmp_path / "run").license is None


def test_a_bug_in_reading_the_base_card_is_no_missing_card(tmp_path, monkeypatch):
    monkeypatch.setattr(card_metadata, "hf_hub_download", lambda *args, **options: None)
    with pytest.raises(TypeError):
        write(tmp_path / "run")


@pytest.mark.parametrize(
    ("file", "content", "base", "license_"),
    [
        ("README.md", "---\nbase_model: facebook/deit\nlicense: mit\n---\n", "facebook/deit", "mit"),
        ("README.md", "---\n: broken [\n---\n", None, None),
        ("README.md", "no metadata", None, None),
        ("config.json", '{"pretrained_cfg": {"hf_hub_id": "timm/vgg", "license": "bsd"}}', "timm/vgg", "bsd"),
        ("config.json", "{}", None, None),
    ],
)  # fmt: skip
def test_a_folder_of_weights_is_traced_to_the_hub(file, content, base, license_, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / file).write_text(content)
    write(tmp_path / "run", model={"checkpoint": str(weights)})
    found = data(tmp_path / "run")
    assert (found.base_model, found.license) == (base, license_)
