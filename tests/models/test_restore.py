"""Weights come back exactly, or the run stops."""

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from tiny import stock_model

from hf_imgcls.errors import RestoreError
from hf_imgcls.models.build import build_model
from hf_imgcls.models.restore import check_restored, differing_tensors, restore_weights, weights_digest
from hf_imgcls.recipe.sections import ModelSection

VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}
ARCHITECTURES = {
    "vit": {**VIT, "intermediate_size": 24},
    "dinov2": VIT,
    "swin": {"patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
    "convnext": {"num_stages": 2, "hidden_sizes": [8, 12], "depths": [1, 1]},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"},
    "timm/test_resnet": {},
}


def tiny(architecture="vit", seed=0):
    section = ModelSection(
        architecture=architecture, from_scratch=True, image_size=32, config=ARCHITECTURES[architecture]
    )
    return build_model(section, ["blue", "green", "red"], seed)[0]


def disturb(model):
    """Change every tensor, counters of batch norms included."""
    for tensor in model.state_dict().values():
        tensor.add_(1)
    return model


@pytest.fixture
def saved(tmp_path):
    model = tiny()
    model.save_pretrained(tmp_path)
    return model, tmp_path


def rewrite(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_tensor_comes_back(architecture, tmp_path):
    model = tiny(architecture)
    model.save_pretrained(tmp_path)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    assert differing_tensors(model, tmp_path) == []
    assert len(differing_tensors(disturb(model), tmp_path)) == len(before)
    restore_weights(model, tmp_path)
    assert differing_tensors(model, tmp_path) == []
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


def test_restoring_keeps_what_the_optimizer_holds(saved):
    """The parameters are filled, not exchanged, or training would go on with tensors that are no longer the model's."""
    model, folder = saved
    parameters = list(model.parameters())
    restore_weights(disturb(model), folder)
    assert all(mine is now for mine, now in zip(parameters, model.parameters(), strict=True))


def test_what_a_network_has_kept_of_its_old_weights_goes_with_them(tmp_path):
    """LeViT keeps the biases of its attention from one evaluation to the next."""
    model = stock_model(
        "levit", image_size=64, hidden_sizes=[16] * 3, num_attention_heads=[2] * 3, depths=[2] * 3, key_dim=[8] * 3,
        down_ops=[["Subsample", 8, 2, 4, 2, 2]] * 2,
    ).eval()  # fmt: skip
    model.save_pretrained(tmp_path)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = model(image).logits
        for name, tensor in model.named_parameters():
            tensor.add_(torch.randn_like(tensor) * (3.0 if "attention_biases" in name else 0.0))
        model.train().eval()
        assert not torch.equal(model(image).logits, before)
        restore_weights(model, tmp_path)
        assert torch.equal(model(image).logits, before)
    assert not model.training


def test_the_stock_way_leaves_a_vit_as_it_was(saved):
    model, folder = saved
    outcome = disturb(model).load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    if not outcome.missing_keys:
        pytest.skip("this transformers saves a ViT under the names that it loads")
    assert differing_tensors(model, folder)
    restore_weights(model, folder)
    assert not differing_tensors(model, folder)


def test_weights_in_several_files(tmp_path):
    model = tiny()
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    restore_weights(disturb(model), tmp_path)
    assert differing_tensors(model, tmp_path) == []


def test_a_file_that_was_changed_afterwards_differs(saved):
    model, folder = saved
    restore_weights(model, folder)
    rewrite(folder, lambda state: state["classifier.weight"][0, 0].add_(1e-6))
    assert differing_tensors(model, folder) == ["classifier.weight"]
    with pytest.raises(RestoreError, match=r"1 tensors were not restored as they are in the file \(classifier.weight"):
        check_restored(model, folder)


def replace(key, tensor):
    return lambda state: state.update({key: tensor})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("classifier.bias"), "classifier.bias"),
        (lambda state: state.pop(next(key for key in state if "layer.0" in key or "layers.0" in key)), "0"),
        (replace("a.tensor.of.another.model", torch.ones(2)), "a.tensor.of.another.model"),
        (replace("classifier.weight", torch.ones(5, 16)), "classifier.weight"),
        (replace("classifier.bias", torch.ones(3, dtype=torch.float64)), "classifier.bias"),
    ],
    ids=["no head", "a layer short", "one too many", "another shape", "another type"],
)
def test_a_file_that_is_not_the_models_stops_the_run(change, message, saved):
    model, folder = saved
    rewrite(folder, change)
    with pytest.raises(RestoreError) as caught:
        restore_weights(model, folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("left", [0, 300])
def test_a_file_that_was_cut_short_or_lost_stops_the_run(left, saved):
    model, folder = saved
    content = (folder / "model.safetensors").read_bytes()[:left]
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(RestoreError, match="cannot be restored"):
        restore_weights(model, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(RestoreError, match="cannot be restored"):
        restore_weights(model, folder)


def test_a_network_that_has_diverged_is_restored_like_any_other(saved):
    """NaN equals nothing, not even itself."""
    model, folder = saved
    with torch.no_grad():
        model.classifier.weight.fill_(float("nan"))
    model.save_pretrained(folder)
    restore_weights(disturb(model), folder)
    assert model.classifier.weight.isnan().all()


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_restored_different_tensors_stop_the_run(rank, saved, monkeypatch):
    model, folder = saved
    other = tiny(seed=1)
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)

    def gather(models):
        return lambda found, own: found.__setitem__(slice(None), [weights_digest(each) for each in models])

    monkeypatch.setattr(dist, "all_gather_object", gather([model, model]))
    check_restored(model, folder)
    monkeypatch.setattr(dist, "all_gather_object", gather([model, other]))
    with pytest.raises(RestoreError, match="the processes did not restore the same tensors"):
        check_restored(model, folder)
