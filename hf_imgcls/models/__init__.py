"""Networks and their image processors: building, loading, restoring, freezing."""

from hf_imgcls.models.adapter import Adapter, restore_trained, save_updates, take_adapter
from hf_imgcls.models.assemble import assemble_ensemble, is_stock
from hf_imgcls.models.averaging import (
    can_renew,
    different_statistics,
    mean_weights,
    renew_statistics,
    why_not_averaged,
)
from hf_imgcls.models.build import build_model, check_model, check_saved, load_network
from hf_imgcls.models.depth import layer_numbers, weights_to_decay
from hf_imgcls.models.dropout import USUAL_DROPOUT, describe_dropout, strong_dropout
from hf_imgcls.models.ensemble import EnsembleForImageClassification
from hf_imgcls.models.freeze import (
    check_patterns,
    choose_parameters,
    count_parameters,
    describe_modules,
    describe_parameters,
    freeze_parameters,
)
from hf_imgcls.models.half import faster_in_half
from hf_imgcls.models.head import head_module, network_name
from hf_imgcls.models.head_input import head_dropout, input_of_head
from hf_imgcls.models.image_features import FeatureTap, feature_layers, feature_width
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.label_kind import (
    applied_thresholds,
    check_thresholds,
    is_multi_label,
    keep_thresholds,
    read_thresholds,
    set_thresholds,
    thresholds_by_label,
)
from hf_imgcls.models.layers import Layer, describe_layers
from hf_imgcls.models.layout import channels_last, copy_layout, fold_batch_norms
from hf_imgcls.models.lora import add_lora, updated
from hf_imgcls.models.lora_merged import merge_lora, merged, with_lora
from hf_imgcls.models.map_layer import MapLayer, find_map_layer
from hf_imgcls.models.own_head import OwnHeadForImageClassification
from hf_imgcls.models.patterns import compile_pattern, matching
from hf_imgcls.models.preprocessing import get_processor
from hf_imgcls.models.restore import as_bytes, check_restored, forget_cached, restore_weights, weights_digest
from hf_imgcls.models.temperature import check_divisible, divide_logits
from hf_imgcls.models.trace import frozen, in_evaluation, random_images, that_affect_logits
from hf_imgcls.models.views import MeanOfViews
