import pytest
import torch
from tiny import SIZE, tiny_model

from hf_imgcls.errors import InputError
from hf_imgcls.models.freeze import choose_parameters, freeze_parameters
from hf_imgcls.recipe.stage import LastBlocks


def test_batch_norms_of_the_last_blocks_stay_frozen_to_the_bit():
    model = tiny_model("timm")
    plain = choose_parameters(model, LastBlocks(last_blocks=2), (SIZE, SIZE))
    chosen = choose_parameters(model, LastBlocks(last_blocks=2, freeze_batch_norm=True), (SIZE, SIZE))
    norms = {name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    assert chosen == [name for name in plain if name.rpartition(".")[0] not in norms]
    assert 0 < len(chosen) < len(plain)
    frozen = freeze_parameters(model, chosen, (SIZE, SIZE))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    for module in frozen:
        module.eval()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model(pixel_values=torch.randn(4, 3, SIZE, SIZE)).logits.square().sum().backward()
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not tensor.equal(before[name])}
    assert moved
    assert moved <= set(chosen)


def test_a_network_without_batch_norms_is_refused():
    with pytest.raises(InputError, match=r"train\.freeze_batch_norm: .* has no batch normalization"):
        choose_parameters(tiny_model("vit"), LastBlocks(last_blocks=1, freeze_batch_norm=True), (SIZE, SIZE))
