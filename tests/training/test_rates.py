"""Learning rates by layer and by pattern: groups as timm's, and the Trainer that keeps them."""

import re

import pytest
from test_trainer import make_trainer
from timm.optim import param_groups_layer_decay
from tiny import SIZE, stock_model, timm_model, tiny_model

from hf_imgcls.errors import InputError
from hf_imgcls.models import choose_parameters
from hf_imgcls.models.head import with_custom_head
from hf_imgcls.recipe import LastBlocks, load_recipe, stages_of
from hf_imgcls.recipe.sections import HeadSection
from hf_imgcls.training.groups import check_rates, describe_groups, group_parameters, records_of

SIDE = (32, 32)
VIT = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24,
       "image_size": 32, "patch_size": 8}  # fmt: skip
# The same architecture of timm and of transformers, and what timm's names are there.
PAIRS = {
    "ViT": (
        lambda: timm_model("vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=16, depth=3, num_heads=2),
        lambda: stock_model("vit", **VIT),
        {r"vit\.embeddings\.": "", r"vit\.layers": "blocks", r"vit\.layernorm": "norm", "classifier": "head",
         "position_embeddings": "pos_embed", r"patch_embeddings\.projection": "patch_embed.proj"},
    ),
    "ConvNeXt": (
        lambda: timm_model("convnext_tiny", depths=[1, 2, 1, 1], dims=[8, 8, 12, 12]),
        lambda: stock_model("convnext", depths=[1, 2, 1, 1], hidden_sizes=[8, 8, 12, 12]),
        {r"convnext\.embeddings\.\w+": "stem", r"convnext\.encoder\.": "", "layers": "blocks",
         "downsampling_layer": "downsample", r"convnext\.layernorm": "head.norm", "classifier": "head.fc"},
    ),
}  # fmt: skip


def stage_of(training=None, **optimizer):
    section = {"output_dir": "no folder is made here", "weight_decay": 0.05, "learning_rate": 1e-3, **(training or {})}
    content = {"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": section}
    return stages_of(load_recipe({**content, "optimizer": optimizer}))[0]


def groups_of(model, train="all", size=SIDE, **optimizer):
    return group_parameters(model, stage_of(**optimizer), choose_parameters(model, train, size), size)


def place(name: str) -> str:
    """A part of a network of timm that is one layer's: blocks.1, stages.0.downsample, head."""
    found = re.match(r"(?:(?:stages\.\d+\.)?blocks\.\d+|stages\.\d+\.downsample|stem|\w+(?:\.norm|\.fc|\.proj)?)", name)
    return found[0]


@pytest.mark.parametrize("family", PAIRS)
def test_groups_are_those_of_timm(family):
    of_timm, of_transformers, names = PAIRS[family]
    model = of_timm()
    network = model.timm_model
    known = {parameter: name for name, parameter in network.named_parameters()}
    never = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    theirs = {
        (frozenset(known[each] for each in group["params"]), group["lr_scale"], group["weight_decay"])
        for group in param_groups_layer_decay(network, 0.05, never, layer_decay=0.75)
    }
    groups = groups_of(model, layer_decay=0.75)
    ours = {(frozenset(n.removeprefix("timm_model.") for n in g.names), g.factor, g.weight_decay) for g in groups}
    assert ours == theirs
    assert [group.place for group in groups] == sorted((group.place for group in groups), reverse=True)
    expected = {(place(name), scale, decay) for group, scale, decay in theirs for name in group}
    found = set()
    for group in groups_of(of_transformers(), layer_decay=0.75):
        for name in group.names:
            for pattern, timms in names.items():
                name = re.sub(pattern, timms, name)
            found.add((place(name), group.factor, group.weight_decay))
    assert found == expected


def layers_of(model, **others):
    return {name: group.place for group in groups_of(model, layer_decay=0.5, **others) for name in group.names}


def test_layers_of_other_networks():
    layers = layers_of(tiny_model("convnet"), size=(SIZE, SIZE))
    assert [layers[f"{name}.weight"] for name in ("convolutions.0", "convolutions.1", "classifier")] == [0, 1, 2]
    for side in (32, 64):  # where its last maps are 1 x 1, and where they are not
        layers = layers_of(stock_model("mobilenet_v2", depth_multiplier=0.25), size=(side, side))
        assert (layers["mobilenet_v2.conv_1x1.convolution.weight"], layers["classifier.weight"]) == (16, 17)
    layers = layers_of(stock_model("swin", image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 2]))
    assert layers["swin.encoder.layers.0.downsample.reduction.weight"] == 2
    for backbone in (PAIRS["ViT"][0](), PAIRS["ViT"][1]()):
        model = with_custom_head(backbone, HeadSection(hidden_size=4), None, SIDE)
        layers = layers_of(model)
        assert {layers[name] for name in layers if name.startswith("head.")} == {4}
        assert max(layers[name] for name in layers if name.startswith("backbone.")) == 3


def test_weight_decay_is_for_matrices_and_kernels():
    swin = stock_model("swin", image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 2])
    for model in (swin, stock_model("siglip", vision_config=VIT), stock_model("vit", **VIT)):
        without = {name for g in groups_of(model, layer_decay=1.0) if not g.weight_decay for name in g.names}
        every = {name for name, _ in model.named_parameters()}
        assert without == {n for n in every if re.search(r"bias|norm|position|cls_token|probe", n)}
    plain = groups_of(model, learning_rates={"classifier": 10})
    decayed = {name for group in plain if group.weight_decay for name in group.names}
    assert "vit.embeddings.position_embeddings" in decayed, "Trainer's own rule where no layer decay is"


def test_what_is_frozen_is_in_no_group_and_patterns_win():
    model = stock_model("vit", **VIT)
    groups = groups_of(model, LastBlocks(last_blocks=1), layer_decay=0.5, learning_rates={r"classifier\.bias": 3})
    assert {(group.place, group.factor) for group in groups} == {(4, 1.0), (3, 0.5), (r"classifier\.bias", 3.0)}
    names = [name for group in groups for name in group.names]
    assert sorted(names) == sorted(choose_parameters(model, LastBlocks(last_blocks=1), SIDE))
    lines = describe_groups(model, groups, stage_of().training)
    assert [line.split()[:3] for line in lines[2:]] == [
        ["3", "5.00e-04", "1,992"], ["4", "1.00e-03", "48"], ["pattern", "3.00e-03", "3"]
    ]  # fmt: skip
    assert lines[2].split(maxsplit=3)[3] == "0.05 (0 for 200)  vit.layers.2, vit.layernorm"
    rows = records_of(model, groups, 1e-3)
    assert rows[0] == {"layer": 4, "learning_rate": 1e-3, "weight_decay": 0.05, "parameters": 48}
    assert rows[-1] == {"pattern": r"classifier\.bias", "learning_rate": 3e-3, "weight_decay": 0.0, "parameters": 3}
    assert groups_of(model) == describe_groups(model, [], None) == []


@pytest.mark.parametrize(
    ("train", "optimizer", "said"),
    [
        (["classifier"], {"layer_decay": 0.5}, "layer_decay: has no effect.* are all of layer 4 of ViTFor"),
        ("all", {"layer_decay": 0.5, "learning_rates": {"": 2}}, "layer_decay: has no effect.*rates of their own"),
        ("all", {"layer_decay": 1e-5}, "layer_decay: 1e-05 leaves layer 0 1e-20 times"),
        (["classifier"], {"learning_rates": {"vit": 2}}, "'vit' matches no parameter that trains; near names: "),
        ("all", {"learning_rates": {"class": 2, "bias": 3}}, "both 'class' and 'bias' match classifier.bias"),
    ],
)
def test_rates_without_an_effect_are_one_line(train, optimizer, said):
    with pytest.raises(InputError, match=rf"^optimizer\..*{said}") as caught:
        groups_of(stock_model("vit", **VIT), train, **optimizer)
    assert len(str(caught.value)) < 400


def test_a_network_without_blocks_is_refused():
    model = tiny_model("vit")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hf_imgcls.models.depth.blocks", lambda *_: [])
        with pytest.raises(InputError, match="layer_decay: ViTForImageClassification has no blocks"):
            groups_of(model, size=(SIZE, SIZE), layer_decay=0.5)


def test_wrong_values_are_refused():
    for value in ({"layer_decay": 0}, {"layer_decay": 1.1}, {"learning_rates": {"a": 0}}, {"learning_rates": ["a"]}):
        with pytest.raises(InputError, match=r"optimizer\.\w+"):
            stage_of(**value)
    with pytest.raises(InputError, match=r"learning_rates: '\(' is no regular expression"):
        check_rates(stage_of(learning_rates={"(": 2}).optimizer)


SCHEDULES = {
    "cosine": ("cosine", {}),
    "polynomial": ("polynomial", {"lr_end": 1e-4}),
    "min_lr": ("cosine_with_min_lr", {"min_lr": 1e-4}),
    "plateau": ("reduce_lr_on_plateau", {"patience": 0, "min_lr": 1e-4}),
    "greedy": ("greedy", {"patience": 0, "min_lr": 1e-4, "max_lr": 2e-3, "factor": 0.5}),
}


@pytest.fixture
def trainer(make_folder, tmp_path):
    groups = groups_of(tiny_model("vit"), size=(SIZE, SIZE), layer_decay=0.5, learning_rates={"classifier": 4})
    folder = make_folder(train=2, validation=2)
    return make_trainer(folder, tmp_path / "run", own={"groups": groups}, learning_rate=1e-3)


def test_every_schedule_keeps_the_ratios_and_the_base_rate_is_logged(trainer):
    factors = [group.factor for group in trainer.groups]
    assert set(factors) == {0.25, 0.5, 0.125, 4.0}
    for name, (schedule, settings) in SCHEDULES.items():
        trainer.optimizer = trainer.lr_scheduler = None
        trainer.args.lr_scheduler_type, trainer.args.lr_scheduler_kwargs = schedule, settings
        trainer.create_optimizer_and_scheduler(10)
        groups = trainer.optimizer.param_groups
        assert [group["lr"] for group in groups] == [1e-3 * factor for factor in factors]
        assert [group["weight_decay"] for group in groups] == [group.weight_decay for group in trainer.groups]
        inside = [id(parameter) for group in groups for parameter in group["params"]]
        assert sorted(inside) == sorted(id(parameter) for parameter in trainer.model.parameters())
        for step in range(10):
            trainer.optimizer.step()
            metric = step if name == "plateau" or step > 3 else -step
            trainer.lr_scheduler.step(*([metric] if name in ("plateau", "greedy") else []))
            base = trainer._get_learning_rate()
            assert [group["lr"] for group in groups] == pytest.approx([base * factor for factor in factors], rel=1e-6)
        assert base == pytest.approx(0.0 if name == "cosine" else 1e-4, abs=1e-12), name
