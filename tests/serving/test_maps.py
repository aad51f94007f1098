"""Maps of where a network looks: evidence that was planted is what they find."""

import re

import numpy as np
import pytest
import torch
import transformers
from tiny import stock_model, tiny_model

from hf_imgcls.errors import InputError
from hf_imgcls.models.convnet import ConvNetConfig, ConvNetForImageClassification
from hf_imgcls.models.ensemble import EnsembleConfig, EnsembleForImageClassification
from hf_imgcls.models.head import with_custom_head
from hf_imgcls.recipe.sections import HeadSection
from hf_imgcls.serving.maps import MapMaker

SIZE = (32, 32)
CORNERS = {"above on the left": (0, 0), "above on the right": (0, 1), "below on the left": (1, 0)}


def hottest(values: np.ndarray) -> tuple[int, int]:
    """The quarter of a map that has most of it: 0 or 1 for above and below, then left and right."""
    rows, columns = (side // 2 for side in values.shape)
    sums = [values[:rows, :columns], values[:rows, columns:], values[rows:, :columns], values[rows:, columns:]]
    return divmod(int(np.argmax([part.sum() for part in sums])), 2)


def looking_at(corner: tuple[int, int]) -> ConvNetForImageClassification:
    """A network whose second label is decided in one corner, its first in the opposite one; features are everywhere."""
    torch.manual_seed(0)
    model = ConvNetForImageClassification(ConvNetConfig(filters=[4, 6], image_size=32, num_labels=2)).eval()
    side = model.config.sides()[-1]
    weights = torch.zeros(2, side, side, 6)
    for label, (row, column) in ((1, corner), (0, (1 - corner[0], 1 - corner[1]))):
        weights[label, row * (side - 3) :, column * (side - 3) :][:3, :3] = 1
    with torch.no_grad():
        model.classifier.weight.copy_(weights.flatten(1))
        model.convolutions[-1].bias.fill_(1)
    return model


@pytest.mark.parametrize("corner", CORNERS.values(), ids=CORNERS)
def test_the_corner_that_decides_is_the_one_that_is_found(explaining, corner):
    """Grad-CAM, which weighs channels and not places, finds any other place as well here."""
    model = looking_at(corner)
    maker = MapMaker(model, SIZE)
    opposite, own = maker(torch.rand(3, *SIZE), [0, 1])
    assert own.shape == SIZE
    assert hottest(own) == corner
    assert hottest(opposite) == (1 - corner[0], 1 - corner[1])
    assert own.max() == opposite.max() == 1
    far = own[16:] if corner[0] == 0 else own[:16]
    assert far.max() == 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def planted(places: torch.Tensor, there: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Noise, and where `there` is 1 a striped patch of 8 pixels at a row and column of patches."""
    rows, columns = (each.repeat_interleave(8) for each in (torch.arange(4), torch.arange(4)))
    patch = (rows == places[:, :1])[:, :, None] & (columns == places[:, 1:])[:, None, :]
    stripes = 3.0 * (torch.arange(32) % 2)
    noise = 0.2 * torch.randn(len(places), 3, *SIZE, generator=generator)
    return noise + (patch * there[:, None, None] * stripes)[:, None]


def taught() -> transformers.PreTrainedModel:
    """A vision transformer that has learned to say whether there is a striped patch, wherever it is."""
    model = stock_model("vit", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                        image_size=32, patch_size=8)  # fmt: skip
    optimizer, generator = torch.optim.AdamW(model.parameters(), lr=1e-2), torch.Generator().manual_seed(0)
    for _ in range(40):
        places, labels = (torch.randint(0, high, (32, 2), generator=generator) for high in (4, 2))
        logits = model(pixel_values=planted(places, labels[:, 0], generator)).logits
        loss = torch.nn.functional.cross_entropy(logits, labels[:, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    return model.eval()


def test_a_transformer_shows_the_patch_that_it_has_learned_to_find(explaining):
    maker = MapMaker(taught(), SIZE)
    assert maker.layers == ["vit.layers.0"]
    places = torch.tensor([(0, 0), (0, 3), (2, 1), (3, 2)])
    images = planted(places, torch.ones(4), torch.Generator().manual_seed(1))
    for image, place in zip(images, places.tolist(), strict=True):
        (values,) = maker(image, [1])
        row, column = np.unravel_index(values.argmax(), SIZE)
        assert [row // 8, column // 8] == place


def test_an_ensemble_has_the_mean_of_its_networks_each_with_its_pixels_and_labels(explaining):
    networks = [tiny_model("convnext", ("a", "b")), tiny_model("convnext", ("a", "b"))]
    for number, network in enumerate(networks):
        torch.manual_seed(number)
        for weights in network.parameters():
            torch.nn.init.normal_(weights, std=0.5)
    configs = [each.config.to_dict() for each in networks]
    factors = {"scales": [[1.0] * 3, [2.0, 3.0, 4.0]], "shifts": [[0.0] * 3, [0.5] * 3], "orders": [[0, 1], [1, 0]]}
    both = EnsembleForImageClassification(EnsembleConfig(networks=configs, num_labels=2, **factors)).eval()
    for part, network in zip(both.networks, networks, strict=True):
        part.load_state_dict(network.state_dict())
    pixels = torch.rand(3, *SIZE)
    first, second = (MapMaker(network, SIZE) for network in networks)
    shifted = pixels * torch.tensor([2.0, 3.0, 4.0])[:, None, None] + 0.5
    own, other = first(pixels, [0, 1]), second(shifted, [1, 0])
    assert own.any(axis=(1, 2)).all()
    assert abs(other - second(pixels, [1, 0])).max() > 0.1
    mean = (own + other) / 2
    found = MapMaker(both, SIZE)
    assert len(found.layers) == 2
    np.testing.assert_allclose(found(pixels, [0, 1]), mean / mean.max(axis=(1, 2), keepdims=True), atol=1e-5)


def test_half_precision_a_custom_head_and_a_network_in_training(explaining):
    model = looking_at((0, 0))
    pixels, expected = torch.rand(3, *SIZE), MapMaker(looking_at((0, 0)), SIZE)
    expected = expected(pixels, [1])
    np.testing.assert_allclose(MapMaker(model.half(), SIZE)(pixels, [1]), expected, atol=2e-2)
    assert model.dtype == torch.float16
    vit = tiny_model("vit").train()
    own = with_custom_head(vit, HeadSection(hidden_size=8), None, (16, 16)).train()
    assert MapMaker(own, (16, 16))(torch.rand(3, 16, 16), [2]).shape == (1, 16, 16)
    assert own.training


def test_what_says_nothing_is_nothing(explaining):
    model = looking_at((0, 0))
    with torch.no_grad():
        model.classifier.weight[1] = -1  # every place speaks against the label
    assert not MapMaker(model, SIZE)(torch.rand(3, *SIZE), [1]).any()


def test_what_a_network_was_seen_to_raise_is_one_line_and_a_bug_is_none(explaining, monkeypatch):
    model = looking_at((0, 0))
    maker = MapMaker(model, SIZE)
    monkeypatch.setattr(model, "forward", lambda **inputs: {}["logits"])
    with pytest.raises(InputError, match="no maps of this image: unknown value 'logits'"):
        maker(torch.rand(3, *SIZE), [1])
    monkeypatch.setattr(model, "forward", lambda **inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        maker(torch.rand(3, *SIZE), [1])


def test_without_the_library_a_line_has_the_command():
    with pytest.raises(InputError, match=re.escape('pip install "hf-imgcls[explain]"')):
        MapMaker(looking_at((0, 0)), SIZE)
