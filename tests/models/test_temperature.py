"""A temperature in the weights of a head."""

import pytest
import torch
from tiny import tiny_model, tiny_processor

from hf_imgcls.errors import InputError
from hf_imgcls.models.assemble import assemble_ensemble
from hf_imgcls.models.temperature import check_divisible, divide_logits

SIZE = (16, 16)


@pytest.mark.parametrize("family", ["vit", "swin", "convnext", "timm", "convnet", "mini_xception"])
def test_logits_are_divided_and_the_try_leaves_every_weight_as_it_was(family):
    model, images = tiny_model(family).eval(), torch.rand(2, 3, *SIZE)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_divisible(model, SIZE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        logits = model(pixel_values=images).logits
        divide_logits(model, 1.6)
        torch.testing.assert_close(model(pixel_values=images).logits, logits / 1.6)


def test_a_network_whose_logits_do_not_follow_its_head_is_refused():
    model = tiny_model("vit")
    torch.nn.init.normal_(model.classifier.weight)

    def squash(module, inputs, output):
        output.logits = output.logits.tanh()

    model.register_forward_hook(squash)
    with pytest.raises(InputError, match="the logits of ViTForImageClassification do not follow the weights"):
        check_divisible(model, SIZE)


def test_the_mean_of_networks_has_its_temperature_in_its_config(tmp_path):
    for name in ("vit", "swin"):
        tiny_model(name).save_pretrained(tmp_path / name)
        tiny_processor().save_pretrained(tmp_path / name)
    model, _ = assemble_ensemble([tmp_path / "vit", tmp_path / "swin"], ["blue", "green", "red"], shared=0)
    images = torch.rand(2, 3, *SIZE)
    check_divisible(model, SIZE)
    assert model.config.logit_temperature == 1
    with torch.no_grad():
        logits = model(pixel_values=images).logits
        divide_logits(model, 0.5)
        model.save_pretrained(tmp_path / "mean")
        again = type(model).from_pretrained(tmp_path / "mean").eval()
        torch.testing.assert_close(again(pixel_values=images).logits, 2 * logits)
