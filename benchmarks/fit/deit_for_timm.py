"""A ViT or DeiT checkpoint of transformers as a folder in timm's layout, for the peers that open networks with timm.

    python benchmarks/fit/deit_for_timm.py WEIGHTS FOLDER

Refuses to end where the logits of the two differ by 1e-4 or more on a random image.
"""

import json
import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file

_ARCHITECTURE = "deit_tiny_patch16_224"
_BARE = "pytorch_model.bin"
_NAMES = {
    "vit.embeddings.cls_token": "cls_token",
    "vit.embeddings.position_embeddings": "pos_embed",
    "vit.embeddings.patch_embeddings.projection": "patch_embed.proj",
    "vit.layernorm": "norm",
    "classifier": "head",
}
_BLOCK = {
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}
_ATTENTION = "vit.encoder.layer.{}.attention.attention.{}.{}"


def rename(state: dict[str, torch.Tensor], depth: int) -> dict[str, torch.Tensor]:
    """The same tensors under timm's names; query, key and value become one."""
    moved = {}
    for number in range(depth):
        for kind in ("weight", "bias"):
            parts = [state[_ATTENTION.format(number, each, kind)] for each in ("query", "key", "value")]
            moved[f"blocks.{number}.attn.qkv.{kind}"] = torch.cat(parts)
    names = dict(_NAMES)
    for number in range(depth):
        names |= {f"vit.encoder.layer.{number}.{old}": f"blocks.{number}.{new}" for old, new in _BLOCK.items()}
    for key, tensor in state.items():
        stem, _, kind = key.rpartition(".")
        if key in names:
            moved[names[key]] = tensor
        elif stem in names:
            moved[f"{names[stem]}.{kind}"] = tensor
    return moved


def convert(weights: Path, folder: Path) -> None:
    from transformers import AutoModelForImageClassification

    config = json.loads((weights / "config.json").read_text())
    state = rename(load_file(weights / "model.safetensors"), config["num_hidden_layers"])
    model = timm.create_model(_ARCHITECTURE)
    model.load_state_dict(state)
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        there = AutoModelForImageClassification.from_pretrained(weights).eval()(image).logits
        difference = (there - model.eval()(image)).abs().max().item()
    assert difference < 1e-4, f"the logits differ by {difference}"
    processor = json.loads((weights / "preprocessor_config.json").read_text())
    own = {
        "num_classes": model.num_classes,
        "input_size": [3, 224, 224],
        "pool_size": None,
        "crop_pct": 224 / 256,
        "interpolation": "bicubic",
        "fixed_input_size": True,
        "mean": processor["image_mean"],
        "std": processor["image_std"],
        "first_conv": "patch_embed.proj",
        "classifier": "head",
    }
    content = {"architecture": _ARCHITECTURE, "num_features": model.num_features, "pretrained_cfg": own}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**content, "num_classes": model.num_classes}, indent=1))
    save_file(state, folder / "model.safetensors")
    # AutoGluon loads this file into a network without a head, and strictly.
    torch.save({key: value for key, value in state.items() if not key.startswith("head.")}, folder / _BARE)
    print(f"{folder}: the logits agree to {difference:.1e}")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
