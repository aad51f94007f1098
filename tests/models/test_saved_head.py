"""Custom heads after training: opened elsewhere, trained on with other labels."""

import json

import pytest
import torch
from conftest import make_image
from fresh import run_fresh
from test_own_head import CUSTOM, HIDDEN, INPUT
from tiny import tiny_model, tiny_processor
from transformers import ImageClassificationPipeline, TimmWrapperImageProcessor

from hf_imgcls.errors import InputError
from hf_imgcls.models.build import build_model
from hf_imgcls.models.head import with_custom_head
from hf_imgcls.recipe.sections import HeadSection, ModelSection

ELSEWHERE = """
import json, sys
sys.modules["hf_imgcls"] = None  # as where it is not installed
from transformers import AutoModelForImageClassification, pipeline
for folder in sys.argv[2:]:
    try:
        AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=False)
        plain = "opened"
    except ValueError as error:
        plain = str(error)
    predictions = pipeline("image-classification", folder, trust_remote_code=True)(sys.argv[1])
    print(json.dumps([plain, predictions]))
"""


def test_where_this_package_is_not_installed_its_code_opens_it_and_nothing_else_does(tmp_path):
    make_image("red", 1).save(tmp_path / "red.png")
    cases = {"vit": tiny_processor(), "maps of timm": None}
    expected = []
    for name, processor in cases.items():
        own, folder = CUSTOM[name]().eval(), tmp_path / name
        own.save_pretrained(folder)
        # timm's image processor saves nothing of its own: its settings are in the model's configuration.
        processor = processor or TimmWrapperImageProcessor(own.config.pretrained_cfg, own.config.architecture)
        processor.save_pretrained(folder)
        pipe = ImageClassificationPipeline(model=own, image_processor=processor)
        expected.append(pipe(str(tmp_path / "red.png")))
    words = [str(tmp_path / name) for name in ("red.png", *cases)]
    ran = run_fresh(ELSEWHERE, *words, layer="transformers", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr[-2000:]
    for line, own in zip(ran.stdout.splitlines(), expected, strict=True):
        plain, predictions = json.loads(line)
        assert "trust_remote_code=True" in plain
        assert predictions == own


def test_a_saved_custom_head_trains_on_with_other_labels(tmp_path):
    own = CUSTOM["vit"]()
    own.save_pretrained(tmp_path)
    tiny_processor().save_pretrained(tmp_path)
    model, _ = build_model(ModelSection(checkpoint=str(tmp_path)), ["cat", "dog"], 0)
    assert model.config.id2label == {0: "cat", 1: "dog"}
    assert model.head[-1].weight.shape == (2, 5)
    assert model.head[-1].bias.abs().min() > 0, "drawn as transformers does, not as torch"
    assert torch.equal(model.head[1].weight, own.head[1].weight)
    state, begun = model.backbone.state_dict(), own.backbone.state_dict()
    assert all(torch.equal(state[name], begun[name]) for name in begun)
    same, _ = build_model(ModelSection(checkpoint=str(tmp_path)), ["red", "green", "blue"], 0)
    assert torch.equal(same.head[-1].weight, own.head[-1].weight)


WRONG = {
    "unknown module": (HIDDEN, "vit.layer.0", r"^model.feature_point: ViTFor\w+ has no module 'vit.layer.0'; did you"),
    "never called": (HIDDEN, "vit.layers", "^model.feature_point: 'vit.layers' is never called by itself"),
    "activation": (HeadSection(hidden_size=2, activation="rel"), None, "activation: transformers has no 'rel' .* mean"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(name):
    section, point, message = WRONG[name]
    with pytest.raises(InputError, match=message) as error:
        with_custom_head(tiny_model("vit"), section, point, INPUT)
    assert "\n" not in str(error.value)


def test_a_custom_head_is_not_replaced_by_another():
    with pytest.raises(InputError, match=r"^model.head: OwnHeadFor.* is not a network of transformers or timm"):
        with_custom_head(CUSTOM["vit"](), HIDDEN, None, INPUT)
