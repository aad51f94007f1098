"""The built-in architectures, made known to transformers."""

from transformers import AutoConfig, AutoModelForImageClassification

from hf_imgcls.models.convnet import ConvNetConfig, ConvNetForImageClassification
from hf_imgcls.models.mini_xception import MiniXceptionConfig, MiniXceptionForImageClassification

BUILT_IN = {ConvNetConfig: ConvNetForImageClassification, MiniXceptionConfig: MiniXceptionForImageClassification}
for _config, _network in BUILT_IN.items():
    AutoConfig.register(_config.model_type, _config)
    AutoModelForImageClassification.register(_config, _network)
    # Their code is saved beside their weights, for machines where this package is not installed.
    _config.register_for_auto_class()
    _network.register_for_auto_class("AutoModelForImageClassification")
