"""A source to rows: folders, tables, archives, the Hub; labels, splits, the check of images, streams."""

from hf_imgcls.data.changed import find_replaced, naming_changed
from hf_imgcls.data.check import refuse_bad_images
from hf_imgcls.data.drop_near import connected
from hf_imgcls.data.duplicates import Overlap, read_digests, save_digests, short_digests
from hf_imgcls.data.findings import find_faults
from hf_imgcls.data.folds import for_all_folds
from hf_imgcls.data.groups import SharedGroups
from hf_imgcls.data.inspected import KINDS, Finding, Inspected, see_images
from hf_imgcls.data.label_arrays import count_classes, label_texts, read_labels
from hf_imgcls.data.load import find_rows, load_data, load_split
from hf_imgcls.data.pack import Packing, Shard, open_packing, plan_shards
from hf_imgcls.data.pack_files import tar_names, write_parquet, write_tar
from hf_imgcls.data.partition import fold_of_rows
from hf_imgcls.data.prepared import advised_size, average_pixels, check_cache_size, prepared_copies
from hf_imgcls.data.relabel import DECISION_COLUMNS
from hf_imgcls.data.rows import BadImage, Data
from hf_imgcls.data.sources import open_source
from hf_imgcls.data.splits import choose_splits
from hf_imgcls.data.stream_rows import StreamRows
from hf_imgcls.data.streaming import attach_transform, first_rows
