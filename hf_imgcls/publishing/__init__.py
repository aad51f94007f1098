"""A finished run to the Hub."""

from hf_imgcls.publishing.push import check_push, push_saved, push_trained
