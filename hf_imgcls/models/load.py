"""The one loader: a saved folder or Hub model of any origin."""

import contextlib
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.configure import get_config, get_processor
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.recipe import ModelSection, resolve_checkpoint


def load_network(
    name: str, revision: str | None = None, dtype: torch.dtype | str = torch.float32, trust_remote_code: bool = False
):
    """A saved folder or Hub model as it is: (network in eval mode, image processor).

    Args:
        dtype: "auto" for the precision that the weights were saved in, as pipeline has it.
        trust_remote_code: whether code that comes with the model may be run. That of built-in architectures and custom
            heads is installed.

    Raises:
        InputError: nothing there, not an image classifier, code that is not trusted, weights that are no safetensors,
            or a tensor is missing.
    """
    section = ModelSection(checkpoint=name, revision=revision)
    config = get_config(section, trust_remote_code)
    network, lost = read_weights(section, config, dtype)
    if lost:
        raise InputError(
            f"model {name!r}: lacks {len(lost)} tensors of {type(network).__name__} ({min(lost)}, ...): it is no "
            "trained classifier"
        )
    return network.eval(), get_processor(section, config)


def read_weights(
    section: ModelSection, config: PreTrainedConfig, dtype: torch.dtype | str = torch.float32
) -> tuple[PreTrainedModel, set[str]]:
    """The network of a checkpoint, and the names of its tensors that are not in the checkpoint or have another shape.

    Args:
        config: from `get_config`, which has already refused code that is not trusted.
    """
    place = resolve_checkpoint(section)
    _refuse_pickles(place)
    with as_input_error(f"model.checkpoint: {section.checkpoint!r}"), _without_report():
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
    return network, {*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])}


def _refuse_pickles(place: str) -> None:
    folder = Path(place)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt*") for path in folder.glob(pattern))
        found = f"only {', '.join(pickles[:3])}, which may run code when it is read" if pickles else "none"
        raise InputError(f"model.checkpoint: {place} has no weights as safetensors (found {found})")


@contextlib.contextmanager
def _without_report():
    """transformers reports a replaced head as a mismatch; here it is what was asked for, and the callers check it."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
