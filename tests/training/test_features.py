"""Cached features: they are the frozen backbone's, and computed again when anything they depend on changes."""

from importlib import metadata

import datasets
import pytest
import torch
from test_own_head import HIDDEN, timm_model
from tiny import SIZE, tiny_model, tiny_processor
from transformers import DefaultDataCollator, Trainer, TrainingArguments, ViTImageProcessor

from hf_imgcls.images.transforms import EvalTransform
from hf_imgcls.models.head import with_custom_head
from hf_imgcls.training.features import HeadOnFeatures, cached_features
from hf_imgcls.training.trainer import ImageTrainer

INPUT = (SIZE, SIZE)
NETWORKS = {
    "vit": lambda: tiny_model("vit"),
    "timm, dropout in its head": lambda: tiny_model("timm"),
    "timm, dropout in a function": lambda: timm_model("test_efficientnet", drop_rate=0.3),
    "timm, 1x1 convolution": lambda: timm_model("resnetv2_18d", drop_rate=0.3),
    "custom head on ViT": lambda: with_custom_head(tiny_model("vit"), HIDDEN, None, INPUT),
    "custom head on maps": lambda: with_custom_head(timm_model("test_resnet"), HIDDEN, "timm_model.layer2", INPUT),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "hf_imgcls" / "features"


@pytest.fixture
def arguments(tmp_path):
    return TrainingArguments(
        str(tmp_path / "run"),
        per_device_train_batch_size=4,
        per_device_eval_batch_size=5,
        learning_rate=0.05,
        num_train_epochs=3,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
        disable_tqdm=True,
        save_strategy="epoch",
    )


def scoring(**settings) -> EvalTransform:
    return EvalTransform(ViTImageProcessor(size={"height": SIZE, "width": SIZE}, **settings), [0, 1, 2])


def compute(model, data, arguments, transform=None, fingerprint=None):
    split = data.splits["train"]
    return cached_features(model, split, transform or scoring(), fingerprint or data.fingerprints["train"], arguments)


def logits_of(model, split, transform) -> torch.Tensor:
    images = torch.stack(split.with_transform(transform)[:]["pixel_values"])
    with torch.no_grad():
        return model.eval()(pixel_values=images).logits


@pytest.mark.parametrize("name", NETWORKS)
def test_the_head_trained_on_features_is_that_of_the_whole_network(name, cache, data, arguments):
    model, split = NETWORKS[name](), data.splits["train"]
    direct = logits_of(model, split, scoring())
    features = compute(model, data, arguments)
    head = HeadOnFeatures(model, INPUT).eval()
    begun = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with torch.no_grad():
        assert (head(features[:]["pixel_values"])["logits"] - direct).abs().max() <= 1e-5
    assert features[:]["labels"].tolist() == split["label"][:]

    trainer = ImageTrainer(head, arguments, data_collator=DefaultDataCollator(), train_dataset=features)
    trainer.train()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, begun[key])}
    assert changed
    assert changed == {key for key in begun if begun[key].is_floating_point() and _of_the_head(key, model)}
    with torch.no_grad():
        on_features = head.eval()(features[:]["pixel_values"])["logits"]
    whole = logits_of(model, split, scoring())
    assert (whole - on_features).abs().max() <= 1e-5
    assert (whole - direct).abs().max() > 1e-2, "nothing was learned, so nothing was compared"


def _of_the_head(key: str, model) -> bool:
    parameter = dict(model.named_parameters()).get(key)
    return parameter is not None and parameter.requires_grad


def test_the_head_drops_what_the_network_would(cache, data, arguments):
    head = HeadOnFeatures(NETWORKS["timm, dropout in a function"](), INPUT).train()
    layer = head.head
    seen = []
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(torch.ones(200, layer.in_features))
    assert 0.25 < float((seen[0] == 0).float().mean()) < 0.35
    assert seen[0].unique().tolist() == pytest.approx([0.0, 1 / 0.7])


def test_a_second_run_reads_what_the_first_has_kept(cache, data, arguments, monkeypatch, capsys):
    first = compute(tiny_model("vit"), data, arguments)
    assert "features: 12 computed and cached" in capsys.readouterr().out
    model = tiny_model("vit")
    with torch.no_grad():
        model.classifier.weight.add_(1)  # the head has no part in its features
    Trainer(model, arguments)  # which sets use_cache
    forward, images = model.forward, []
    monkeypatch.setattr(model, "forward", lambda pixel_values: images.append(pixel_values) or forward(pixel_values))
    second = compute(model, data, arguments)
    assert sum(map(len, images)) <= 1, "more than the noise on which the head is found"
    assert "features: 12 read from the cache" in capsys.readouterr().out
    assert torch.equal(first[:]["pixel_values"], second[:]["pixel_values"])
    assert len(list(cache.iterdir())) == 1


def disturbed(change) -> torch.nn.Module:
    model = tiny_model("timm")
    with torch.no_grad():
        change(model)
    return model


OTHER = {
    "weight": lambda: {"model": disturbed(lambda m: m.timm_model.conv1[0].weight[0, 0, 0, 0].add_(1e-6))},
    "statistics": lambda: {"model": disturbed(lambda m: m.timm_model.bn1.running_mean[0].add_(1e-6))},
    "settings of the same weights": lambda: {"model": disturbed(lambda m: setattr(m.timm_model.bn1, "eps", 1e-3))},
    "image processor": lambda: {"transform": scoring(image_mean=[0.4] * 3)},
    "images": lambda: {"fingerprint": "another"},
    "labels": lambda: {"transform": EvalTransform(tiny_processor(), [1, 0, 2])},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_what_the_features_follow_from_is_all_in_the_fingerprint(name, cache, data, arguments, capsys):
    compute(tiny_model("timm"), data, arguments)
    compute(**{"model": tiny_model("timm"), "data": data, "arguments": arguments, **OTHER[name]()})
    assert capsys.readouterr().out.count("computed and cached") == 2


@pytest.mark.parametrize("package", ["transformers", "torchvision", "pillow"])
def test_other_versions_are_other_features(package, cache, data, arguments, monkeypatch, capsys):
    compute(tiny_model("timm"), data, arguments)
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1" if name == package else version(name))
    compute(tiny_model("timm"), data, arguments)
    assert capsys.readouterr().out.count("computed and cached") == 2
