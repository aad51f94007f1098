"""The weights of a checkpoint: safetensors alone, all of them, and of the network that its settings say."""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.saved import CONFIG, OF_ANOTHER_FORM, describe_adapter, read_object
from hf_imgcls.recipe import ModelSection, resolve_checkpoint
from hf_imgcls.store import check_weights
from hf_imgcls.words import listed

WEIGHTS = "model.safetensors"


def read_weights(
    section: ModelSection, config: PreTrainedConfig, dtype: torch.dtype | str = torch.float32
) -> tuple[PreTrainedModel, set[str], dict[str, tuple]]:
    """The network of a checkpoint; its tensors that are not there; those of another shape, there and in the network.

    `config` is from `get_config`, which has already refused code that is not trusted.
    """
    place = resolve_checkpoint(section)
    check_files(place)
    check_weights(Path(place))
    with as_input_error(f"model.checkpoint: {section.checkpoint!r}", *OF_ANOTHER_FORM), _without_report():
        network, info = AutoModelForImageClassification.from_pretrained(
            place,
            config=config,
            revision=section.revision,
            dtype=dtype,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
            # What is installed here is never replaced by code beside the weights.
            trust_remote_code=type(config) not in AutoModelForImageClassification._model_mapping,
        )
    _check_unused(section.checkpoint, network, info["unexpected_keys"])
    return network, set(info["missing_keys"]), {key: shapes for key, *shapes in info["mismatched_keys"]}


def _check_unused(name: str, network: PreTrainedModel, unused: Iterable[str]) -> None:
    """Refuse weights of more layers than the settings have: a shallower network would answer, and silently worse."""
    used = {re.sub(r"\d+", "#", key) for key in network.state_dict()}
    left = next((key for key in sorted(unused) if re.sub(r"\d+", "#", key) in used), None)
    if left:
        raise InputError(
            f"model.checkpoint: {name!r} has weights of more layers than its {CONFIG} ({left}, ...); correct it there"
        )


def check_files(place: str) -> None:
    """The weights of a local folder: as safetensors, and all the files that their index names."""
    folder = Path(place)
    if not folder.is_dir() or (folder / WEIGHTS).is_file():
        return
    if (folder / f"{WEIGHTS}.index.json").is_file():
        shards = read_object(folder / f"{WEIGHTS}.index.json").get("weight_map")
        if not isinstance(shards, dict):
            raise InputError(f"model.checkpoint: {WEIGHTS}.index.json of {place} names no files (weight_map)")
        gone = [name for name in dict.fromkeys(map(str, shards.values())) if not (folder / name).is_file()]
        if gone:
            raise InputError(
                f"model.checkpoint: {place} is incomplete: {listed(gone, 2)} of its {len(set(shards.values()))} files "
                "of weights are missing; download or copy it again"
            )
        return
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt*", "*.ckpt") for path in folder.glob(pattern))
    if (folder / "adapter_config.json").is_file():
        found = describe_adapter(folder)
    elif pickles:
        found = (
            f"has its weights as {listed(pickles, 2)} alone, which may run code when it is read; load it once where "
        )
        found += "you trust it and save it with save_pretrained, which writes model.safetensors"
    else:
        others = listed(sorted(path.name for path in folder.glob("*.safetensors")), 2)
        found = f"has no {WEIGHTS}" + (f" (found {others}; rename it if it is all of the weights)" if others else "")
    raise InputError(f"model.checkpoint: {place} {found}")


@contextlib.contextmanager
def _without_report():
    """transformers reports a replaced head as a mismatch; here it is what was asked for, and the callers check it."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
