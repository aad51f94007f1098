"""Choosing what trains: the last blocks, the head, patterns; and what cannot be chosen."""

import pytest
from test_freeze import LEVIT, SIZE, STAGES, VISION
from tiny import stock_model, timm_model

from hf_imgcls.errors import InputError
from hf_imgcls.models.freeze import check_patterns, choose_parameters, describe_parameters, freeze_parameters
from hf_imgcls.models.head import with_custom_head
from hf_imgcls.models.patterns import matching
from hf_imgcls.recipe.sections import HeadSection
from hf_imgcls.recipe.stage import LastBlocks


def test_more_of_the_last_blocks_is_more_that_trains():
    model = stock_model("vit", **VISION)
    chosen = [set(choose_parameters(model, LastBlocks(last_blocks=count), SIZE)) for count in (1, 2, 3)]
    assert chosen[0] < chosen[1] < chosen[2]
    left = {name for name, _ in model.named_parameters()} - chosen[2]
    assert left == {name for name in left if name.startswith("vit.embeddings.")} != set()


HEADS = {
    "behind a batch norm": (lambda: stock_model("levit", **LEVIT), {"classifier.linear"}),
    "two heads": (lambda: timm_model("deit_tiny_distilled_patch16_224", 224, depth=1, embed_dim=8, num_heads=2), {
        "timm_model.head", "timm_model.head_dist"}),
    "custom head": (
        lambda: with_custom_head(stock_model("resnet", **STAGES), HeadSection(hidden_size=4), None, SIZE),
        {"head.1", "head.4"}),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_all_of_it(name):
    make, expected = HEADS[name]
    names = choose_parameters(make(), "head", SIZE)
    assert {name.rpartition(".")[0] for name in names} == expected
    assert len(names) == 2 * len(expected)


WRONG = {
    "too many": (LastBlocks(last_blocks=40), "train.last_blocks: found 40, ViTForImageClassification has 3 blocks"),
    "old name": (["classifier", "vit.encoder.layer.2"],
                 "train.1: 'vit.encoder.layer.2' matches no parameter; near names: vit.layers.2"),
    "misspelled": (["clasifier"], "train.0: 'clasifier' matches no parameter; near names: classifier"),
    "no pattern": (["layers.(1"], "train.0: 'layers.(1' is no regular expression"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_chosen_is_one_line(name):
    train, message = WRONG[name]
    with pytest.raises(InputError) as error:
        choose_parameters(stock_model("vit", **VISION), train, SIZE)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_pattern_is_searched_in_names():
    model = stock_model("vit", **VISION)
    names = choose_parameters(model, ["^classifier", r"layers\.[01]\..*bias$"], SIZE)
    assert {"classifier.weight", "vit.layers.1.mlp.fc1.bias"} < set(names)
    assert not any("layers.2" in name or name == "vit.layers.1.mlp.fc1.weight" for name in names)


LINES = {
    "all": ("all", "trains all 9,339 parameters"),
    "head": ("head", "trains 51 of 9,339 parameters (0.55 %): classifier.weight, classifier.bias"),
    "modules": (LastBlocks(last_blocks=2), "trains 4,003 of 9,339 parameters (42.86 %): vit.layers.1, vit.layers.2, "
                "vit.layernorm, classifier"),
    "runs": (["layer.*bias"], "trains 424 of 9,339 parameters (4.54 %): vit.layers.0-2.attention.q_proj.bias, "
             "vit.layers.0-2.attention.k_proj.bias, vit.layers.0-2.attention.v_proj.bias, "
             "vit.layers.0-2.attention.o_proj.bias, vit.layers.0-2.layernorm_before.bias, "
             "vit.layers.0-2.layernorm_after.bias, vit.layers.0-2.mlp.fc1.bias, vit.layers.0-2.mlp.fc2.bias "
             "and 1 more"),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_what_trains_is_described_in_a_line(name):
    train, line = LINES[name]
    model = stock_model("vit", **VISION)
    freeze_parameters(model, choose_parameters(model, train, SIZE), SIZE)
    assert describe_parameters(model) == line


def test_a_pattern_that_would_run_for_ever_is_ended(monkeypatch):
    monkeypatch.setattr("hf_imgcls.models.patterns._SECONDS", 0.05)
    with pytest.raises(InputError, match=r"takes more than 0\.05 s on the names of the parameters"):
        matching(["a" * 60 + "!"] * 3, r"^(?=(a|aa)+$)(a|a|aa)+$", "train.0")


@pytest.mark.parametrize("pattern", ["[", "(?P<x", "a{99999999999}", "*"])
def test_a_pattern_that_is_none_is_found_by_the_check(pattern):
    with pytest.raises(InputError, match=r"train\.1: .* is no regular expression"):
        check_patterns(["a", pattern])
