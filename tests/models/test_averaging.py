"""Averages of networks: the mean of their weights, statistics for it, and what cannot be averaged."""

import pytest
import torch
from tiny import stock_model, tiny_model, tiny_processor
from torch import nn
from transformers import ViTImageProcessor

from hf_imgcls.models.averaging import different_statistics, mean_weights, renew_statistics, why_not_averaged


def test_the_mean_is_taken_in_float64_and_kept_in_the_type_of_each_tensor():
    third = [torch.tensor([1.0, 1e8]), torch.tensor([1.0, 3.0]), torch.tensor([1.1, -1e8])]
    states = [
        {"a": each, "half": torch.tensor([i / 3]).half(), "steps": torch.tensor(5 - i)} for i, each in enumerate(third)
    ]
    mean = mean_weights(states)
    assert mean["a"].tolist() == pytest.approx([3.1 / 3, 1.0], rel=1e-7), "float32 loses the 3"
    assert [mean[name].dtype for name in ("a", "half", "steps")] == [torch.float32, torch.float16, torch.int64]
    assert mean["steps"] == 5
    assert all(torch.equal(mean_weights([state] * 3)["a"], state["a"]) for state in states)
    assert states[0]["a"].tolist() == [1.0, 1e8], "the models themselves stay"


def test_statistics_that_trained_are_computed_anew_with_dropout_off_and_others_stay():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.BatchNorm2d(3))
    model.forward = lambda pixel_values: nn.Sequential.forward(model, pixel_values)
    other = {name: value.clone() for name, value in model.state_dict().items()}
    other["2.running_var"] += 1.0
    assert different_statistics(model.state_dict(), other) == {"2"}
    torch.manual_seed(0)
    images = torch.randn(8, 3, 4, 4) * 3 + 7
    renew_statistics(model, ["2"], images.split(4))
    state = model.state_dict()
    assert torch.equal(state["0.running_mean"], torch.zeros(3))
    assert torch.allclose(state["2.running_mean"], images.mean((0, 2, 3)), rtol=1e-4)
    assert torch.allclose(state["2.running_var"], images.transpose(0, 1).flatten(1).var(1), rtol=0.1)
    assert not any(module.training for module in model.modules())


def test_networks_that_cannot_be_averaged_say_why():
    def pair(family="vit", size=16, **changes):
        model = tiny_model(family)
        for key, value in changes.items():
            setattr(model.config, key, value)
        return model, ViTImageProcessor(size={"height": size, "width": size})

    first = pair()
    assert why_not_averaged(first, pair(hidden_dropout_prob=0.0)) is None
    assert "is a ConvNext" in why_not_averaged(first, pair("convnext"))
    assert "labels" in why_not_averaged(first, pair(id2label={0: "red", 1: "green", 2: "blue"}))
    assert why_not_averaged(first, pair(hidden_act="relu")) == "has another model: hidden_act differs"
    assert why_not_averaged(first, pair(size=18)) == "has another image processor: size differs"
    small = stock_model("vit", hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    small.config = first[0].config
    assert "has other tensors: " in why_not_averaged(first, (small, tiny_processor()))
