"""Which networks a CPU with bfloat16 instructions computes in it: by their operations, not by a trial."""

import pytest
import torch
from tiny import stock_model, tiny_model
from transformers import PreTrainedConfig

from hf_imgcls.models.half import faster_in_half
from hf_imgcls.models.layers import count_operations

ATTENTION = {"hidden_size": 192, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 768}


@pytest.mark.parametrize(
    ("model", "side", "trains", "computes"),
    [
        (lambda: stock_model("vit", image_size=224, **ATTENTION), 224, True, True),
        (lambda: stock_model("mobilenet_v2"), 224, False, True),
        (lambda: tiny_model("convnet"), 16, False, False),
    ],
    ids=["transformer", "depthwise convolutions", "tiny images"],
)
def test_the_operations_of_a_network_decide(model, side, trains, computes):
    network = model()
    assert faster_in_half(network, (side, side), training=True) == trains
    assert faster_in_half(network, (side, side), training=False) == computes


def test_operations_are_those_of_one_image():
    convolution = torch.nn.Conv2d(3, 4, 3, padding=1)

    class Network(torch.nn.Module):
        device, dtype, config = torch.device("cpu"), torch.float32, PreTrainedConfig()

        def __init__(self):
            super().__init__()
            self.first, self.last = convolution, torch.nn.Linear(4, 2)

        def forward(self, pixel_values):
            return {"logits": self.last(self.first(pixel_values).mean((2, 3)))}

    assert count_operations(Network(), (8, 8)) == (8 * 8 * 4 * 3 * 9 + 4 * 2, 8 * 8 * 4 + 2)
