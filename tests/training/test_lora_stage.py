"""A stage with LoRA: trained, averaged, saved, resumed to the bit, merged, and saved as an adapter that peft opens."""

import json
import re
from pathlib import Path

import pytest
from conftest import make_image
from safetensors.torch import load_file
from test_stages import AUGMENTATION, Killed, changed, kill, recipe, weights  # noqa: F401
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from hf_imgcls import InputError, train_classifier
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.publishing.shareable import kept_adapter, shareable_files
from hf_imgcls.recipe.load import load_recipe

pytestmark = pytest.mark.usefixtures("undrawn")
PAGE = Path(__file__).parents[2] / "docs/training.md"
LORA = {"rank": 3, "alpha": 6, "dropout": 0.1, "target_modules": ["_proj"], "save": "adapter"}
STEPS = ["training.save_strategy=steps", "training.save_steps=2", "training.eval_strategy=steps",
         "training.eval_steps=2", "training.learning_rate=2e-2", "averaging.ema_decay=0.3",
         "training.gradient_checkpointing=true"]  # fmt: skip


@pytest.fixture
def with_lora(recipe):  # noqa: F811
    recipe["stages"][0]["training"]["max_steps"] = 2
    recipe["stages"][1] = {"train": {"lora": LORA}, "optimizer": {"learning_rates": {"classifier": 2}}}
    return recipe


def test_it_trains_is_resumed_merged_and_opened_by_peft(with_lora, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        kill(patched, 2, 5)
        with pytest.raises(Killed):
            train_classifier(with_lora, STEPS)
    resumed = train_classifier(with_lora, STEPS)
    out = capsys.readouterr().out
    assert "trains 819 of 7,187 parameters (11.40 %): LoRA of rank 3 on 8 layers, and classifier" in out
    assert "resuming from" in out
    assert f"adapter: the updates of LoRA and the head are saved in {run / 'adapter'}" in out
    whole = train_classifier(with_lora, [*STEPS, f"training.output_dir={tmp_path / 'whole'}"])
    assert resumed["scores"] == whole["scores"]
    assert changed(weights(run), weights(tmp_path / "whole")) == set()
    one, two = (load_file(tmp_path / name / "adapter/adapter_model.safetensors") for name in ("run", "whole"))
    assert changed(one, two) == set()
    assert one.keys() == two.keys()

    record = resumed["stages"][1]
    assert (record["trained_parameters"], record["parameters"]) == (819, 7187)
    assert record["train"] == {"lora": LORA}
    assert resumed["parity"]["passed"]
    moved = changed(weights(run / "stage-1"), weights(run))
    assert {name for name in moved if "proj" not in name and "attention" not in name} == {
        "classifier.weight", "classifier.bias"
    }  # fmt: skip
    assert len(moved) == 10, "four projections of two blocks, and the head; biases and norms stay"
    best = run / "stage-2" / f"checkpoint-{record['best_step']}"
    assert changed(weights(best), weights(run)) == set(), "a checkpoint is a whole model, merged"

    # Beside the merged model the adapter, for the checkpoint that it was trained from.
    config = json.loads((run / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "checkpoint")
    image = make_image("green", 7, (40, 30))
    image.save(tmp_path / "photo.jpg", quality=100)
    monkeypatch.chdir(tmp_path)
    (code,) = (each for each in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "PeftModel" in each)
    code = code.replace("facebook/deit-tiny-patch16-224", "checkpoint").replace("runs/clothing_lora", "run")
    exec(code.replace("photo.jpg", str(tmp_path / "photo.jpg")), found := {})
    served = pipeline("image-classification", model=str(run), device="cpu")(str(tmp_path / "photo.jpg"))
    assert {each["label"]: each["score"] for each in served} == pytest.approx(
        {found["config"].id2label[i]: float(each) for i, each in enumerate(found["probabilities"])}, abs=1e-5
    )
    assert AutoImageProcessor.from_pretrained(run / "adapter").to_dict() == found["processor"].to_dict()
    with pytest.raises(InputError, match=f"is a PEFT adapter, not a model; its run, {run}, has it merged"):
        train_classifier({**with_lora, "model": {"checkpoint": str(run / "adapter")}})

    # What only this machine has as its base stays here; what the Hub has goes there, and by its id.
    assert "is not pushed: it is of " in kept_adapter(run)
    assert not any(name.startswith("adapter") for name in shareable_files(run))
    config["base_model_name_or_path"] = "facebook/deit-tiny-patch16-224"
    (run / "adapter/adapter_config.json").write_text(json.dumps(config))
    assert kept_adapter(run) is None
    files = shareable_files(run)
    names = ("adapter_config.json", "adapter_model.safetensors", "preprocessor_config.json")
    assert {f"adapter/{name}" for name in names} <= files.keys()
    assert json.loads(files["adapter/adapter_config.json"].read_text()) == config


def test_without_a_better_score_no_adapter_stays(with_lora, tmp_path):
    with_lora["stages"][1]["only_if_better"] = True
    with_lora["stages"][1]["training"] = {"learning_rate": 0.0}
    results = train_classifier(with_lora)
    assert results["stages"][1]["selected_checkpoint"] == "stage 1"
    assert changed(weights(tmp_path / "run/stage-1"), weights(tmp_path / "run")) == set()
    assert not (tmp_path / "run/adapter").exists()
    assert differing_tensors(AutoModelForImageClassification.from_pretrained(tmp_path / "run"), tmp_path / "run") == []


MISTAKES = [
    ({"stages.1.train.lora.rnk": 8}, r'stages\.1\.train\.lora\.rnk: unknown key; did you mean "rank"\?'),
    ({"stages.1.train.lora.rank": 0}, r"stages\.1\.train\.lora\.rank: found 0 .*, expected a number of at least 1"),
    ({"stages.1.optimizer": {"layer_decay": 0.5}}, "layers have no rates of their own with LoRA"),
    ({"model.image_size": 32}, r"lora\.save: with model\.image_size it would not fit its checkpoint"),
    ({"model.config": {"hidden_act": "relu"}}, r"lora\.save: with model\.config\.hidden_act it would not fit"),
    ({"model.from_scratch": True}, r"lora\.save: an adapter needs the weights of a model\.checkpoint"),
    ({"stages.0.train": "all"}, r"lora\.save: only for the last stage"),
    (
        {"stages.1.cache_features": True, "stages.1.optimizer": {}},
        r'cache_features: needs "train": "head"',
    ),
]


def test_what_it_cannot_be_combined_with(with_lora):
    for change, message in MISTAKES:
        with pytest.raises(InputError, match=message):
            load_recipe(with_lora, [f"{key}={json.dumps(value)}" for key, value in change.items()])
