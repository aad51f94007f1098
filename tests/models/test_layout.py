"""Convolutional networks in the layout that is fast, with the values that they had."""

import pytest
import torch
from tiny import stock_model, tiny_model
from torch import nn

from hf_imgcls.errors import InputError
from hf_imgcls.models.layout import channels_last, copy_layout

SIZE = (16, 16)


def layouts(model: nn.Module) -> set[bool]:
    """Whether convolutions of several inputs and pixels lie channels last."""
    several = [p for p in model.parameters() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    return {p.is_contiguous(memory_format=torch.channels_last) for p in several}


XCEPTION = {"stem_filters": 16, "filters": [32], "top_filters": 8, "image_size": 16}


@pytest.mark.parametrize("family", ["convnet", "mini_xception", "timm"])
def test_convolutional_networks_compute_the_same_in_the_other_layout(family, tmp_path):
    model = stock_model(family, **XCEPTION) if family == "mini_xception" else tiny_model(family)
    model, images = model.eval(), torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        before = model(pixel_values=images).logits
        assert channels_last(model, SIZE)
        assert layouts(model) == {True}
        assert torch.allclose(model(pixel_values=images).logits, before, atol=1e-5)
    saved = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert layouts(again) == {False}
    assert all(torch.equal(tensor, saved[name]) for name, tensor in again.state_dict().items())


@pytest.mark.parametrize("family", ["vit", "swin"])
def test_transformers_stay_as_they_are(family):
    model = tiny_model(family)
    assert not channels_last(model, SIZE)
    assert layouts(model) == {False}


def test_a_recipe_may_say_which(tmp_path):
    assert not channels_last(tiny_model("convnet"), SIZE, wanted=False)
    assert channels_last(tiny_model("vit"), SIZE, wanted=True)


@pytest.mark.parametrize("filters", [[8], [16, 16]])
def test_a_layer_whose_gradients_damage_memory_in_that_layout_keeps_the_other(filters):
    """A network of such layers on 96 pixels ends the process."""
    model = stock_model("mini_xception", **{**XCEPTION, "stem_filters": filters[0], "filters": filters})
    assert not channels_last(model, SIZE)
    with pytest.raises(InputError, match=r"model\.channels_last: .* damages memory in this layout; leave it out"):
        channels_last(model, SIZE, wanted=True)
    assert layouts(model) == {False}


def test_a_network_that_relies_on_its_layout_keeps_it(monkeypatch):
    model = stock_model("resnet", depths=[1, 1], hidden_sizes=[16, 32], num_stages=2, embedding_size=16)
    forward = type(model.resnet.embedder).forward

    def rows_in_line(self, pixel_values):
        embedded = forward(self, pixel_values)
        return embedded.view(len(embedded), -1).view(embedded.shape)

    monkeypatch.setattr(type(model.resnet.embedder), "forward", rows_in_line)
    assert not channels_last(model, SIZE)
    with pytest.raises(InputError, match=r"model\.channels_last: ResNet.* channels first"):
        channels_last(model, SIZE, wanted=True)
    assert layouts(model) == {False}
    assert model(pixel_values=torch.rand(1, 3, *SIZE)).logits.shape == (1, 3)


@pytest.mark.parametrize("family", ["convnet", "timm", "vit"])
def test_a_layout_is_copied_to_the_same_network_loaded_anew(family):
    first, again = tiny_model(family), tiny_model(family)
    channels_last(first, SIZE)
    copy_layout(first, again)
    for mine, other in zip(first.parameters(), again.parameters(), strict=True):
        assert mine.stride() == other.stride()
        assert mine.equal(other)
