"""Models and their image processors, from a checkpoint or from an architecture alone."""

from transformers import AutoConfig, AutoModelForImageClassification

from hf_imgcls.models.build import build_model, load_saved
from hf_imgcls.models.convnet import ConvNetConfig, ConvNetForImageClassification
from hf_imgcls.models.mini_xception import MiniXceptionConfig, MiniXceptionForImageClassification
from hf_imgcls.models.restore import RestoreError, check_restored, restore

_OWN = {ConvNetConfig: ConvNetForImageClassification, MiniXceptionConfig: MiniXceptionForImageClassification}
for _config, _network in _OWN.items():
    AutoConfig.register(_config.model_type, _config)
    AutoModelForImageClassification.register(_config, _network)
    # Their code is saved beside their weights, for machines where this package is not installed.
    _config.register_for_auto_class()
    _network.register_for_auto_class("AutoModelForImageClassification")

__all__ = ["RestoreError", "build_model", "check_restored", "load_saved", "restore"]
