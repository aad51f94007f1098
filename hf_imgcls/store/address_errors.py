"""What the libraries of object storage raise, as one line that names the address without its secrets."""

import contextlib
import errno
import re
import sys
from collections.abc import Iterator

from hf_imgcls.errors import InputError, MachineError, ReadError, UserError
from hf_imgcls.words import one_line, without_secrets

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
_NAMED = re.compile(r"\S+://\S+")
# What the libraries raise beside OSError and TimeoutError, by the modules that have them.
_RAISED = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "gcsfs.retry": ("HttpError",),
    "azure.core.exceptions": ("AzureError",),
    "huggingface_hub.errors": ("HTTPError", "RevisionResolutionError"),
    "fsspec.exceptions": ("FSTimeoutError",),
}
_OF_THIS_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENOMEM)  # which store/denied.py has the lines of
_KEYS = re.compile(r"credential|token|access.?denied|forbidden|unauthorized|signature|\b40[13]\b", re.IGNORECASE)
_ENVIRONMENT = "credentials come from the environment (AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, HF_TOKEN, ...)"


@contextlib.contextmanager
def address_errors(address: str, doing: str = "read") -> Iterator[None]:
    """What the libraries of storage raise, as one line that names the address without its secrets.

    Raises:
        InputError: there is nothing, or the address is none.
        MachineError: no permission, or no credentials.
        ReadError: it cannot be reached at present.
    """
    shown = without_secrets(address)
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise InputError(_missing_library(shown, error)) from None
    except FileNotFoundError:
        raise InputError(f"{shown}: no such bucket or file; check the address, and its service") from None
    except (OSError, TimeoutError, ValueError, *_raised()) as error:
        _raise_as_line(error, shown, doing)
        raise


def _raise_as_line(error: Exception, shown: str, doing: str) -> None:
    """As InputError, MachineError or ReadError; nothing where an error is no matter of the storage."""
    text = one_line(f"{type(error).__name__}: {without_secrets(str(error))}", 160).removesuffix(":")
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        if "Protocol not known" not in str(error):
            return
        raise InputError(
            f"{shown}: no such kind of address; expected s3://, gs://, hf://, https:// or a path"
        ) from None
    if getattr(error, "errno", None) in _OF_THIS_DISK:
        return
    if isinstance(error, PermissionError) or _KEYS.search(f"{type(error).__name__} {_NAMED.sub('', str(error))}"):
        raise MachineError(f"{shown}: no permission to {doing} it ({text}); {_ENVIRONMENT}") from None
    done = {"read": "read", "write": "written"}[doing]
    raise ReadError(
        f"{shown}: cannot be {done} at present ({text}); mend that, then run the same command again"
    ) from None


def _missing_library(shown: str, error: ImportError) -> str:
    package = _PACKAGES.get(shown.partition("://")[0].lower())
    how = 'pip install "hf-imgcls[storage]"' if package == "s3fs" else f"pip install {package}"
    return f"{shown}: needs the package {package}, which is not installed: {how}" if package else f"{shown}: {error}"


def _raised() -> tuple[type[Exception], ...]:
    """The libraries' own errors: of those that are imported, since others have raised nothing."""
    modules = ((sys.modules.get(name), classes) for name, classes in _RAISED.items())
    return tuple(getattr(module, each) for module, classes in modules if module for each in classes)
