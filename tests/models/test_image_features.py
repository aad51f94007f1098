"""Features of any classifier: one layer's inputs, those of cached features, or the parts of several."""

import pytest
import torch
from tiny import CONFIGS, SIZE, stock_model, tiny_model
from torch import nn
from transformers import LevitForImageClassificationWithTeacher, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput

from hf_imgcls.errors import InputError
from hf_imgcls.models.ensemble import EnsembleConfig, EnsembleForImageClassification
from hf_imgcls.models.head import head_module
from hf_imgcls.models.head_input import input_of_head
from hf_imgcls.models.image_features import FeatureTap, feature_layers, feature_width

PIXELS = torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def features(model, rows=None) -> torch.Tensor:
    layers = feature_layers(model, tuple(PIXELS.shape[-2:]))
    with torch.no_grad(), FeatureTap(model, layers) as tap:
        model.eval()(pixel_values=PIXELS)
        found = tap.take(rows)
    assert found.shape[1] == feature_width(model, layers)
    return found


@pytest.mark.parametrize("family", CONFIGS)
def test_features_are_those_that_are_cached_for_a_head(family):
    model = tiny_model(family).eval()
    head = head_module(model, (SIZE, SIZE))
    assert feature_layers(model, (SIZE, SIZE)) == [head]
    assert torch.equal(features(model), input_of_head(model, head, PIXELS))
    assert torch.equal(features(model, [2, 0]), features(model)[[2, 0]])


def test_an_ensemble_has_those_of_its_networks_each_of_length_1():
    networks = [tiny_model("vit").eval(), tiny_model("convnext").eval()]
    settings = {"networks": [each.config.to_dict() for each in networks], "orders": [[0, 1, 2]] * 2}
    settings |= {"scales": [[1.0] * 3] * 2, "shifts": [[0.0] * 3] * 2, "id2label": networks[0].config.id2label}
    config = EnsembleConfig(**settings)
    ensemble = EnsembleForImageClassification(config).eval()
    for part, network in zip(ensemble.networks, networks, strict=True):
        part.load_state_dict(network.state_dict())
    assert feature_layers(ensemble, (SIZE, SIZE)) == ["networks.0.classifier", "networks.1.classifier"]
    expected = [nn.functional.normalize(features(network)) for network in networks]
    torch.testing.assert_close(features(ensemble), torch.cat(expected, dim=1))


def test_a_network_of_two_classifiers_has_both():
    size = {"hidden_sizes": [16, 24, 32], "num_attention_heads": [1, 2, 2], "depths": [1, 1, 1], "key_dim": [8] * 3}
    stock = stock_model("levit", image_size=64, **size)
    twin = LevitForImageClassificationWithTeacher(stock.config).eval()
    assert feature_layers(twin, (64, 64)) == ["classifier.linear", "classifier_distill.linear"]


def test_a_layer_with_as_many_outputs_inside_the_network_is_not_its_classifier():
    model = tiny_model("convnet")
    model.gate = nn.Linear(3, 3)
    model.classifier.register_forward_pre_hook(lambda _, inputs: (inputs[0] * model.gate(inputs[0][:, :3]).sum(),))
    assert feature_layers(model, (SIZE, SIZE)) == ["classifier"]


class Means(PreTrainedModel):
    """The mean of each channel, without a layer."""

    config_class, main_input_name = PreTrainedConfig, "pixel_values"

    def __init__(self):
        super().__init__(PreTrainedConfig(num_labels=3))
        self.factor = nn.Parameter(torch.ones(3))

    def forward(self, pixel_values):
        return ImageClassifierOutput(logits=pixel_values.mean((2, 3)) * self.factor)


def test_a_network_without_such_a_layer_is_refused_in_a_line():
    with pytest.raises(InputError, match="Means has no layer that turns one feature of an image into its 3 outputs"):
        feature_layers(Means(), (SIZE, SIZE))


def test_what_no_forward_pass_has_seen_is_none():
    model = tiny_model("vit")
    with FeatureTap(model, ["classifier"]) as tap:
        assert tap.take() is None
    model(pixel_values=PIXELS)
    assert tap.take() is None
    assert FeatureTap(model, []).take([0]) is None
