"""Which parameters a recipe lets train, and that nothing else changes while they do."""

import pytest
import torch
from tiny import stock_model, timm_model, tiny_model
from torch import nn
from torch.nn.functional import cross_entropy

from hf_imgcls.models.freeze import choose_parameters, freeze_parameters
from hf_imgcls.models.head import with_custom_head
from hf_imgcls.recipe.sections import HeadSection
from hf_imgcls.recipe.stage import LastBlocks

SIZE = (32, 32)
VISION = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24,
          "image_size": 32, "patch_size": 8}  # fmt: skip
STAGES = {"depths": [2, 2], "hidden_sizes": [8, 16], "num_stages": 2}
LEVIT = {"image_size": 128, "hidden_sizes": [16] * 3, "num_attention_heads": [2] * 3, "depths": [2, 2, 2],
         "key_dim": [8] * 3}  # fmt: skip
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
ONE = LastBlocks(last_blocks=1)
# family: (how to make it with dropout in its body and none before its head, a pattern that lets its middle train)
FAMILIES = {
    "ViT": (lambda: stock_model("vit", **VISION, hidden_dropout_prob=0.3), r"layers\.1\."),
    "ConvNeXt": (lambda: stock_model("convnext", **STAGES, drop_path_rate=0.5), r"stages\.1\.downsampling|\.1\.dwconv"),
    "ResNet": (lambda: stock_model("resnet", **STAGES, embedding_size=8), r"stages\.0\.layers\.1\."),
    "MobileNetV2": (
        lambda: stock_model("mobilenet_v2", depth_multiplier=0.25, classifier_dropout_prob=0.0), r"layer\.3\."),
    "timm ResNet": (lambda: timm_model("test_resnet", drop_path_rate=0.5), r"layer2\.0\.(conv|bn)1"),
    "timm ViT": (
        lambda: timm_model("test_vit", img_size=32, pos_drop_rate=0.3, drop_path_rate=0.5), r"blocks\.(2|3)\.norm"),
    "timm EfficientNet": (lambda: timm_model("test_efficientnet", drop_path_rate=0.5), r"blocks\.1\."),
    "LeViT": (lambda: stock_model("levit", **LEVIT), r"stages\.1\."),
    "convnet": (lambda: without_dropout(tiny_model("convnet")), r"convolutions\.0"),
    "mini_xception": (lambda: without_dropout(tiny_model("mini_xception")), r"blocks\.0\.norm"),
    "custom head, hidden layer": (
        lambda: with_custom_head(stock_model("resnet", **STAGES), HeadSection(hidden_size=6), None, SIZE),
        r"stages\.0\.layers\.1\."),
}  # fmt: skip
DROPPING = {"ViT", "ConvNeXt", "timm ResNet", "timm ViT", "timm EfficientNet"}


def without_dropout(model):
    model.dropout.p = 0.0
    return model


def size_of(family: str) -> tuple[int, int]:
    return {"LeViT": (128, 128), "convnet": (16, 16)}.get(family, SIZE)


def made(family: str):
    """A model whose running statistics are those of the images that it will see."""
    model = FAMILIES[family][0]().train()
    with torch.no_grad():
        for _ in range(20):
            model(pixel_values=images(family))
    return model


def images(family: str) -> torch.Tensor:
    return torch.rand(6, 3, *size_of(family)) + torch.arange(6).view(6, 1, 1, 1) / 3


def in_training(model: nn.Module, frozen: list[nn.Module]) -> nn.Module:
    model.train()
    for module in frozen:
        module.eval()
    return model


def changed_by_training(model: nn.Module, frozen: list[nn.Module], family: str) -> set[str]:
    """Names of the tensors, statistics included, that are not bit by bit what they were."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    adamw = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1)
    momentum = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=0.1)
    for optimizer in (adamw, momentum, adamw, momentum):
        in_training(model, frozen)
        cross_entropy(model(pixel_values=images(family)).logits, torch.arange(6) % 3).backward()
        optimizer.step()
        model.zero_grad()
    model.eval()(pixel_values=images(family))
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("train", ["head", ONE, "pattern", "all"], ids=["head", "last block", "pattern", "all"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_chosen_moves_and_the_rest_stays_bit_by_bit(family, train):
    model, size = made(family), size_of(family)
    names = choose_parameters(model, [FAMILIES[family][1]] if train == "pattern" else train, size)
    changed = changed_by_training(model, freeze_parameters(model, names, size), family)
    owners = {name.rpartition(".")[0] for name in names}
    statistics = {f"{owner}.{name}" for owner in owners for name in STATISTICS}
    statistics = {name for name, _ in model.named_buffers() if name in statistics}
    assert changed == set(names) | statistics


@pytest.mark.parametrize("family", sorted(DROPPING))
def test_dropout_in_what_is_frozen_is_off(family):
    model, pixels = made(family), images(family)
    exact = model.eval()(pixel_values=pixels).logits
    frozen = freeze_parameters(model, choose_parameters(model, "head", size_of(family)), size_of(family))
    assert torch.equal(in_training(model, frozen)(pixel_values=pixels).logits, exact)
    assert freeze_parameters(model, choose_parameters(model, "all", SIZE), SIZE) == []
    assert not torch.equal(in_training(model, [])(pixel_values=pixels).logits, exact)


HEAD_DROPOUT = {
    "a module": (lambda: stock_model("mobilenet_v2", depth_multiplier=0.25, classifier_dropout_prob=0.5), SIZE),
    "a function": (lambda: timm_model("test_efficientnet", drop_rate=0.5), SIZE),
    "a module of timm's": (lambda: timm_model("test_vit", img_size=32, drop_rate=0.5), SIZE),
    "convnet": (lambda: tiny_model("convnet"), (16, 16)),
    "mini_xception": (lambda: tiny_model("mini_xception"), SIZE),
    "custom head": (lambda: with_custom_head(stock_model("resnet", **STAGES), HeadSection(dropout=0.5), None, SIZE),
                    SIZE),
}  # fmt: skip


@pytest.mark.parametrize("name", HEAD_DROPOUT)
@pytest.mark.parametrize("train", ["head", ONE], ids=["head", "last block"])
def test_dropout_before_a_head_that_trains_is_on(name, train):
    make, size = HEAD_DROPOUT[name]
    model, pixels = make(), torch.rand(4, 3, *size)
    frozen = freeze_parameters(model, choose_parameters(model, train, size), size)
    in_training(model, frozen)
    assert not torch.equal(model(pixel_values=pixels).logits, model(pixel_values=pixels).logits)


class Loose(nn.Module):
    """Dropout and statistics without parameters, beside layers of which some train."""

    def __init__(self):
        super().__init__()
        self.drop_in, self.stem = nn.Dropout(), nn.Conv2d(3, 4, 3)
        self.norm, self.body = nn.BatchNorm2d(4, affine=False), nn.Linear(4, 4)
        self.top_norm, self.drop_out, self.head = nn.BatchNorm1d(4, affine=False), nn.Dropout(), nn.Linear(4, 3)

    def forward(self, pixel_values):
        x = self.norm(self.stem(self.drop_in(pixel_values))).mean(dim=(2, 3))
        return {"logits": self.head(self.drop_out(self.top_norm(self.body(x))))}


def test_dropout_goes_with_what_it_feeds_and_statistics_with_what_they_are_of():
    model = Loose()
    frozen = freeze_parameters(model, ["head.weight", "head.bias"], (8, 8))
    assert set(frozen) == {model.drop_in, model.stem, model.norm, model.body, model.top_norm}
    frozen = freeze_parameters(
        model, [name for name, _ in model.named_parameters() if not name.startswith("stem")], (8, 8)
    )
    assert set(frozen) == {model.drop_in, model.stem, model.norm}
    frozen = freeze_parameters(model, ["stem.weight", "stem.bias"], (8, 8))
    assert set(frozen) == {model.body, model.top_norm, model.drop_out, model.head}


BEHIND = {
    "ViT": (lambda: stock_model("vit", **VISION), {"vit.layers.2", "vit.layernorm", "classifier"}),
    "BEiT": (lambda: stock_model("beit", **VISION), {"beit.layers.2", "beit.pooler", "classifier"}),
    "MobileNetV2": (lambda: stock_model("mobilenet_v2", depth_multiplier=0.25),
                    {"mobilenet_v2.layer.15", "mobilenet_v2.conv_1x1", "classifier"}),
    "EfficientNet": (
        lambda: stock_model("efficientnet", width_coefficient=0.1, depth_coefficient=0.1, hidden_dim=128),
        {"efficientnet.encoder.blocks.6", "efficientnet.encoder.top_conv", "efficientnet.encoder.top_bn",
         "classifier"}),
    # Its classifier averages the tokens: the pooled output and its norm are computed in vain.
    "CLIP": (lambda: stock_model("clip", vision_config=VISION), {"vision_model.encoder.layers.2", "classifier"}),
    "timm EfficientNet": (lambda: timm_model("test_efficientnet"), {
        f"timm_model.{name}" for name in ("blocks.4", "conv_head", "bn2", "classifier")}),
    "mini_xception": (lambda: tiny_model("mini_xception"), {"blocks.1", "top", "top_norm", "classifier"}),
    "convnet": (lambda: tiny_model("convnet"), {"convolutions.1", "classifier"}),
}  # fmt: skip


@pytest.mark.parametrize("family", BEHIND)
def test_everything_behind_the_last_block_trains_with_it(family):
    make, expected = BEHIND[family]
    model = make()
    names = choose_parameters(model, ONE, size_of(family))
    within = [name for name, _ in model.named_parameters() if any(name.startswith(f"{e}.") for e in expected)]
    assert names == within
