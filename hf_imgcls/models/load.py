"""A saved model of any origin, loaded for inference."""

from pathlib import Path

from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForImageClassification, PreTrainedConfig

from hf_imgcls.errors import InputError
from hf_imgcls.machine import use_hub
from hf_imgcls.models.configure import get_config, get_processor, one_line
from hf_imgcls.recipe import ModelSection, resolve_checkpoint


def load_network(name: str, trust_remote_code: bool = False):
    """(network in eval mode, image processor); in the precision that the weights were saved in, as pipeline does.

    Raises:
        InputError: as `open_classifier`.
    """
    section = ModelSection(checkpoint=name)
    place = resolve_checkpoint(section)
    if not Path(place).is_dir():
        use_hub()
    with one_line(f"model {name!r}"):
        settings, _ = PreTrainedConfig.get_config_dict(place)
    code = settings.get("auto_map", {}).get("AutoModelForImageClassification")
    foreign = code is not None and settings.get("model_type") not in CONFIG_MAPPING  # our networks are in it
    if foreign and not trust_remote_code:
        raise InputError(
            f"model {name!r}: brings the code of its network ({code.partition('.')[0]}.py); if you trust it, add "
            "--trust-remote-code"
        )
    with one_line(f"model {name!r}"):
        config = AutoConfig.from_pretrained(place, trust_remote_code=True) if foreign else get_config(section)
        network, info = AutoModelForImageClassification.from_pretrained(
            place,
            config=config,
            dtype="auto",
            use_safetensors=True,
            output_loading_info=True,
            trust_remote_code=trust_remote_code,
        )
    lost = sorted(info["missing_keys"])
    if lost:
        raise InputError(
            f"model {name!r}: lacks {len(lost)} tensors of {type(network).__name__} ({lost[0]}, ...): it is no "
            "classifier that was trained"
        )
    return network.eval(), get_processor(section, config)
