"""Drop path and dropout that a recipe sets: they act in training alone, and what a network does not have is refused."""

import pytest
import torch
from test_build import LABELS, VIT, refusal

from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.recipe.sections import ModelSection

NETWORKS = {
    "convnext": {"num_stages": 2, "hidden_sizes": [8, 12], "depths": [1, 2], "drop_path_rate": 0.8},
    "swin": {"patch_size": 2, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "window_size": 4,
             "drop_path_rate": 0.8, "hidden_dropout_prob": 0.0},
    "beit": {**VIT, "num_hidden_layers": 2, "drop_path_rate": 0.8},
    "vit": {**VIT, "hidden_dropout_prob": 0.8},
    "timm/test_resnet": {"model_args": {"drop_path_rate": 0.8}},
    "timm/test_vit": {"model_args": {"drop_path_rate": 0.8}},
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_recipe_drops_is_dropped_in_training_alone(name, tmp_path):
    section = ModelSection(architecture=name, from_scratch=True, image_size=32, config=NETWORKS[name])
    model, processor = build_model(section, LABELS, 0)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    images = torch.randn(8, 3, 32, 32)
    for network in (model, load_network(str(tmp_path))[0]):
        for parameter in network.parameters():
            parameter.data = parameter.data + 0.1  # what begins at zero would hide it
        network.eval()
        assert network(images).logits.equal(network(images).logits)
        network.train()
        assert not network(images).logits.equal(network(images).logits)


@pytest.mark.parametrize(
    ("architecture", "config", "line"),
    [
        (
            "resnet",
            {"drop_path_rate": 0.1},
            "model.config.drop_path_rate: resnet has no such setting; what it drops is",
        ),
        ("vit", {"drop_path_rate": 0.1}, "set by attention_probs_dropout_prob, hidden_dropout_prob"),
        ("timm/test_resnet", {"drop_path_rate": 0.1}, 'goes into "model_args"'),
        ("timm/vgg11", {"model_args": {"drop_path_rate": 0.1}}, "unexpected keyword argument 'drop_path_rate'"),
        (
            "convnext",
            {"drop_path_rate": 1.5},
            "model.config.drop_path_rate: found 1.5, expected a number from 0 to below 1",
        ),
        ("mobilevitv2", {"classifier_dropout_prob": 0.1}, "classifier_dropout_prob: mobilevitv2 does not use it to"),
        ("segformer", {"classifier_dropout_prob": 0.1}, "does not use it to classify images"),
        ("swin", {"drop_path_rate": -0.5}, "model.config.drop_path_rate: found -0.5"),
        ("cvt", {"drop_path_rate": [0.0, 0.0, 1.0]}, "model.config.drop_path_rate: found 1.0"),
        ("timm/test_resnet", {"model_args": {"drop_rate": 1}}, "model.config.model_args.drop_rate: found 1,"),
    ],
)
def test_a_setting_that_would_be_ignored_or_train_nothing_is_refused(architecture, config, line):
    section = {"architecture": architecture, "from_scratch": True, "image_size": 32, "config": config}
    assert line in refusal(section)


def test_arguments_of_timm_are_added_to_those_of_the_checkpoint(tmp_path):
    """Replaced, a network that pools by the maximum would be fine-tuned on means, without a word."""
    config = {"model_args": {"global_pool": "max", "drop_path_rate": 0.2}}
    section = ModelSection(architecture="timm/test_resnet", from_scratch=True, image_size=32, config=config)
    model, processor = build_model(section, LABELS, 0)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    chosen = ModelSection(checkpoint=str(tmp_path), config={"model_args": {"drop_path_rate": 0.4}})
    again, _ = build_model(chosen, LABELS, 0)
    assert again.config.model_args == {"global_pool": "max", "drop_path_rate": 0.4}
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(again.eval()(images).logits, model.eval()(images).logits, atol=1e-5)
