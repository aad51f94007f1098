"""What lies on disk: files written whole or not at all, the run folder, checkpoints, the cache."""

from hf_imgcls.store.address_errors import address_errors
from hf_imgcls.store.addresses import (
    Stored,
    check_address,
    find_stored,
    is_address,
    last_part,
    list_stored,
    look_up,
    open_stored,
    read_stored,
    write_stored,
)
from hf_imgcls.store.begun import Beginning, read_kept, resumed_with
from hf_imgcls.store.cache import cached, file_digests
from hf_imgcls.store.cache_place import cache_folder, cache_in_use, clear_cache, list_cache
from hf_imgcls.store.checkpoints import (
    MANIFEST,
    RAW_WEIGHTS,
    STATE,
    checkpoint_of,
    clean_up,
    delete_old,
    draft_of,
    find_fault,
    find_fault_of_weights,
    newest_whole,
    put_in_place,
    saved_or_denied,
    write_manifest,
)
from hf_imgcls.store.denied import as_machine_error, free_space, raise_denied
from hf_imgcls.store.differing import differing_keys
from hf_imgcls.store.failed import FAILED, FailureKept
from hf_imgcls.store.files import csv_text, own_code, read_json, write_csv, write_json, write_text
from hf_imgcls.store.launched import as_process_error, is_launched, let_others_end, reports_first
from hf_imgcls.store.locks import LOCK, Lock, is_lock, lock_beside
from hf_imgcls.store.places import check_room, try_place
from hf_imgcls.store.run_folder import (
    ADAPTER,
    ADAPTER_WEIGHTS,
    BAD_IMAGES,
    CANDIDATES,
    DIGESTS,
    FOLDS,
    HISTORY,
    PUSHED,
    RECIPE,
    RESULTS,
    SEEDS,
    SPLITS,
    STAGES,
    TOKEN,
    check_run_folder,
    check_same_data,
    is_finished,
    lock_run,
    open_run,
)
from hf_imgcls.store.run_weights import check_weights, describe_weights
from hf_imgcls.store.runs import FoundRun, find_runs, natural
from hf_imgcls.store.search_folder import open_search
from hf_imgcls.store.several import describe_if_several, open_several
from hf_imgcls.store.shared_folder import SharedFolder
from hf_imgcls.store.streams import close_output, close_terminal, flush_streams, open_streams
