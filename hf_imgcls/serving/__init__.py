"""From weights to predictions: opening any model, predicting, the parity check, the demo, ONNX."""

from hf_imgcls.serving.actor import ActorWork, BlockPredictor, Outcome, read_outcome
from hf_imgcls.serving.demo import PAGE, TOP_K, describe_demo, serve_demo
from hf_imgcls.serving.distance import ClassMeans, DistanceRejection, open_rejection, with_features
from hf_imgcls.serving.embedder import Embedder, embed_batches, embed_rows
from hf_imgcls.serving.embedding_file import EmbeddingFile, nearest_rows, open_embeddings
from hf_imgcls.serving.export.calibration import CalibrationImages, calibration_images
from hf_imgcls.serving.export.check import check_export
from hf_imgcls.serving.export.folder import EXPORT, INT8, check_target, is_exported, new_folder, write_manifest
from hf_imgcls.serving.export.images import CheckImages, evaluation_images
from hf_imgcls.serving.export.measure import describe_accuracy, measure_int8
from hf_imgcls.serving.image_classifier import ImageClassifier
from hf_imgcls.serving.image_list import (
    READ_ERRORS,
    ListSize,
    display_name,
    find_images,
    image_value,
    name_hash,
    read_list,
    read_source,
    write_list,
)
from hf_imgcls.serving.inference import Classifier, chosen_labels, predict_rows
from hf_imgcls.serving.maps import MapMaker, require_grad_cam
from hf_imgcls.serving.merge import drop_rows, list_file, merge_parts
from hf_imgcls.serving.onnx.write import silenced
from hf_imgcls.serving.open import FORMATS, ExportFormat, PredictOptions, as_classifier, open_classifier, open_embedder
from hf_imgcls.serving.output import WrittenRows, check_continues, read_written
from hf_imgcls.serving.output_place import check_place
from hf_imgcls.serving.parity import TOLERANCE, check_serving, describe_parity
from hf_imgcls.serving.part_files import (
    Block,
    as_blocks,
    block_size,
    clear_run,
    drop_rows_of_parts,
    put_list,
    read_written_parts,
)
from hf_imgcls.serving.reading import each_batch
from hf_imgcls.serving.rows import EMBEDDED, RowWriter, TerminalTable, column_names, tried_again
from hf_imgcls.serving.tta import ClassifierOfViews, Tally, describe_tally
