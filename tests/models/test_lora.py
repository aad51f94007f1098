"""LoRA: which layers get an update, that adding it to the weights changes no logits, and that nothing else changes."""

import pytest
import torch
from test_freeze import FAMILIES, size_of
from timm.layers import Conv2dSame, StdConv2d
from tiny import timm_model

from hf_imgcls.errors import InputError, RestoreError
from hf_imgcls.models.adapter import restore_trained, save_updates
from hf_imgcls.models.freeze import check_patterns, choose_parameters, describe_parameters, freeze_parameters
from hf_imgcls.models.lora import add_lora, lora_layers
from hf_imgcls.models.lora_merged import merge_lora, merged, with_lora
from hf_imgcls.models.lora_targets import _is_plain
from hf_imgcls.recipe.lora import Lora

BEIT = {"embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8}
MORE = {"timm BEiT": lambda: timm_model("beit_base_patch16_224", **BEIT)}
# Layers that get one, and more that are meant but cannot: grouped ones, and what a network uses without calling it (the
# qkv of timm's BEiT).
LAYERS = {"ViT": (18, 0), "MobileNetV2": (35, 17), "timm EfficientNet": (15, 2), "timm BEiT": (6, 2),
          "custom head, hidden layer": (15, 0), "LeViT": (34, 0)}  # fmt: skip


def lora(**keys) -> Lora:
    return Lora.model_validate({"lora": {"rank": 2, **keys}})


def made(family: str):
    return (MORE.get(family) or FAMILIES[family][0])().eval()


@pytest.mark.parametrize("family", LAYERS)
def test_updates_beside_the_weights_and_added_to_them_are_one_network(family):
    model, size = made(family), size_of(family)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chosen, count = lora(alpha=8), LAYERS[family]
    with with_lora(model, chosen, size) as said:
        assert len(lora_layers(model)) == count[0]
        assert said.startswith(f"LoRA: {count[1]} more layers") if count[1] else not said
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(after[name].equal(before[name]) for name in before), "looking at it changes nothing"
    assert all(parameter.requires_grad for parameter in model.parameters())
    state = torch.get_rng_state()
    add_lora(model, chosen, size, seed=1)
    assert torch.get_rng_state().equal(state)
    frozen = freeze_parameters(model, choose_parameters(model, chosen, size), size)
    assert all(hasattr(module, "running_mean") for module in frozen), "dropout drops, statistics stay"
    pixels = torch.rand(2, 3, *size)
    with torch.no_grad():
        first = model(pixel_values=pixels).logits
        for layer in lora_layers(model).values():
            torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
        beside = model(pixel_values=pixels).logits
        with merged(model):
            together = model(pixel_values=pixels).logits
            assert list(model.state_dict()) == list(before)
        again = model(pixel_values=pixels).logits
        merge_lora(model)
        plain = model(pixel_values=pixels).logits
    assert (beside - first).abs().max() > 0.01 * first.abs().max()
    assert (beside - together).abs().max() < 1e-4 * beside.abs().max()
    assert again.equal(beside), "to the bit as it was"
    assert plain.equal(together)
    assert list(model.state_dict()) == list(before)


def test_what_trains_is_said_and_starts_from_the_seed():
    models = [made("ViT") for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        add_lora(model, lora(target_modules=[r"layers\.[01]\..*(q|v)_proj"]), (32, 32), seed)
        freeze_parameters(model, choose_parameters(model, lora(), (32, 32)), (32, 32))
    first, same, other = (model.state_dict()["vit.layers.1.attention.v_proj.lora_A.default.weight"] for model in models)
    assert first.equal(same)
    assert not first.equal(other)
    assert describe_parameters(models[0]) == (
        "trains 307 of 9,339 parameters (3.29 %): LoRA of rank 2 on 4 layers, and classifier.weight, classifier.bias"
    )


@pytest.mark.parametrize(
    ("family", "keys", "message"),
    [
        ("ViT", {"target_modules": ["query"]}, r"modules\.0: 'query' matches no layer before the head; near names"),
        ("ViT", {"target_modules": ["classifier"]}, "'classifier' matches no layer before the head"),
        ("MobileNetV2", {"target_modules": ["conv_3x3"]}, "LoRA fits none of the 17 layers that are meant"),
        ("ResNet", {"target_modules": "all-linear"}, "LoRA finds no linear layer in ResNet"),
        ("MobileNetV2", {"save": "adapter"}, r"lora\.save: peft alone cannot run an adapter of MobileNetV2"),
    ],
)  # fmt: skip
def test_what_cannot_have_it_is_refused(family, keys, message):
    with pytest.raises(InputError, match=message), with_lora(made(family), lora(**keys), (32, 32)):
        pass


def test_layers_that_do_more_with_their_weights_are_not_plain():
    more = [
        StdConv2d(3, 4, 3),
        Conv2dSame(3, 4, 3),
        torch.nn.Conv2d(4, 4, 3, groups=2),
        torch.nn.Conv2d(4, 4, 3, dilation=2),
    ]
    assert not any(map(_is_plain, [*more, torch.nn.Conv2d(4, 4, 3, padding_mode="reflect")]))
    assert all(map(_is_plain, [torch.nn.Linear(3, 4), torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)]))


def test_a_layer_whose_weights_are_used_beside_its_call_is_refused():
    model = made("ViT")
    layer, used = model.vit.layers[0].mlp.fc2, torch.nn.functional.linear
    layer.register_forward_hook(lambda it, inputs, output: output + used(inputs[0], it.weight))
    model.vit.layers[0].mlp.register_forward_hook(lambda it, inputs, output: output + it.fc2.weight.sum())
    with (
        pytest.raises(InputError, match="uses the weights of some layers in a way"),
        with_lora(model, lora(), (32, 32)),
    ):
        pass


def test_a_checkpoint_is_the_merged_model_and_its_updates_are_restored_beside_the_weights(tmp_path):
    model, chosen = made("ViT"), lora()
    base = {name: value.clone() for name, value in model.state_dict().items()}
    add_lora(model, chosen, (32, 32), seed=1)
    for layer in lora_layers(model).values():
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
    torch.nn.init.normal_(model.classifier.weight)
    with merged(model):
        model.save_pretrained(tmp_path)
        whole = {name: value.clone() for name, value in model.state_dict().items()}
    save_updates(model, tmp_path)
    expected = model.state_dict()
    again = made("ViT")
    add_lora(again, chosen, (32, 32), seed=2)
    restore_trained(again, tmp_path)
    assert all(value.equal(expected[name]) for name, value in again.state_dict().items())
    plain = made("ViT")
    restore_trained(plain, tmp_path)
    assert all(value.equal(whole[name]) for name, value in plain.state_dict().items())
    with torch.no_grad():
        again.vit.layers[0].mlp.fc1.base_layer.weight.copy_(base["vit.layers.0.mlp.fc1.weight"] * 1.01)
    with pytest.raises(RestoreError, match=r"vit\.layers\.0\.mlp\.fc1 had other weights when its update was trained"):
        restore_trained(again, tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(RestoreError, match=r"adapter_model\.safetensors cannot be restored"):
        restore_trained(again, tmp_path)


def test_patterns_and_the_package_are_checked_first(monkeypatch):
    with pytest.raises(InputError, match=r"train\.lora\.target_modules\.1: '\(' is no regular expression"):
        check_patterns(lora(target_modules=["a", "("]))
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(InputError, match=r'peft is not installed; pip install "hf-imgcls\[lora\]"'):
        check_patterns(lora())
