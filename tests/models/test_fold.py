"""Batch normalisation folded away: the same logits with fewer modules, and no harm where it cannot be."""

import copy

import pytest
import torch
from tiny import stock_model, timm_model, tiny_model
from torch import nn

from hf_imgcls.models.layout import fold_batch_norms

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def worn(model: nn.Module) -> nn.Module:
    """A network whose normalisations have been through something."""
    for module in model.eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.uniform_(tensor.data, -0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(pixel_values=IMAGES)["logits"]


def tiny_resnet() -> nn.Module:
    return stock_model("resnet", depths=[1, 1], hidden_sizes=[8, 16], num_stages=2, embedding_size=8)


MAKERS = {
    "resnet": tiny_resnet,
    "mobilenet_v2": lambda: stock_model("mobilenet_v2", image_size=16, depth_multiplier=0.1),
    "mini_xception": lambda: tiny_model("mini_xception"),
    "timm": lambda: timm_model("resnet10t"),  # with an activation in some of its normalisations
    "timm, activations inside": lambda: timm_model("mobilenetv3_small_050"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_answers_stay_and_the_normalisations_go(name):
    model = worn(MAKERS[name]())
    before, there = logits(model), norms(model)
    assert fold_batch_norms(model, (16, 16)) == there - norms(model) > there / 2
    assert torch.allclose(logits(model), before, rtol=1e-4, atol=1e-5 * before.abs().max())


def test_networks_without_any_stay_as_they_are():
    assert fold_batch_norms(tiny_model("vit").eval(), (16, 16)) == 0


def test_an_output_that_is_used_twice_is_left_alone(monkeypatch):
    model = worn(tiny_resnet())
    layer = type(model.resnet.embedder.embedder)

    def with_its_own_input(self, pixels):
        convolved = self.convolution(pixels)
        return self.activation(self.normalization(convolved) + convolved)

    monkeypatch.setattr(layer, "forward", with_its_own_input)
    before, own = logits(model), copy.copy(dict(model.named_modules()))
    assert fold_batch_norms(model, (16, 16)) == 0
    assert torch.equal(logits(model), before)
    assert dict(model.named_modules()) == own


def test_a_normalisation_that_keeps_no_statistics_stays():
    model = worn(tiny_resnet())
    norm = model.resnet.embedder.embedder.normalization
    norm.running_mean = norm.running_var = None
    there = norms(model)
    before = logits(model)
    assert fold_batch_norms(model, (16, 16)) == there - 1
    assert torch.allclose(logits(model), before, rtol=1e-4, atol=1e-5 * before.abs().max())
