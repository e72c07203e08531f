"""Bundles on Hugging Face, through its own client: `HF_ENDPOINT`, `HF_TOKEN` and the cache are what they are there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from clipkit.bundle._layout import CARD, HUB, INDEX, Bundle, file_record
from clipkit.bundle.read import read_bundle, read_index
from clipkit.errors import ClipkitError, one_line, shown
from clipkit.hub import download_failed, downloading

_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def find_bundle(source: str | Path, revision: str | None = None) -> Bundle:
    """A bundle of a folder, or `hf-hub:owner/name`, which is fetched once and then taken from the hub's cache.

    Of a repository the index is fetched, then what it lists, from the same commit; nothing else in it is looked at.

    Args:
        revision: a branch, tag or commit of the repository.

    Raises:
        ClipkitError: it cannot be fetched; or see `read_bundle`.
    """
    if not str(source).startswith(HUB):
        if revision is not None:
            raise ClipkitError(f"{source}: a folder has no revision: leave it out")
        return read_bundle(source)
    repository = _checked_name(str(source).removeprefix(HUB))
    index = _fetch(repository, INDEX, revision)
    folder = index.parent
    for name, record in read_index(index)["files"].items():
        file = _fetch(repository, name, folder.name)  # of the commit that the index is of
        if file_record(file) != record:
            raise ClipkitError(f"{file}: is not what the {INDEX} of {repository} says: damaged, or changed by somebody")
    return read_bundle(folder, root=folder.parents[1])


def push_bundle(
    folder: str | Path,
    repository: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    message: str = "Add a clipkit bundle",
    token: str | None = None,
) -> str:
    """Uploads a bundle as one commit, and makes the repository where there is none; returns the commit's address.

    Args:
        folder: of the bundle; nothing but what its index lists, the index and the card is sent.
        repository: `owner/name`.
        private: of a repository that is made.
        revision: the branch; made where there is none.
        message: of the commit.
        token: default: the one that `hf auth login` keeps.

    Raises:
        ClipkitError: no bundle; the hub refused, or does not answer.
    """
    from huggingface_hub import HfApi

    repository = _checked_name(repository)
    wanted = [INDEX, CARD, *read_index(Path(folder) / INDEX)["files"]]
    api = HfApi(token=token)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository, folder_path=folder, revision=revision, commit_message=message, allow_patterns=wanted
        )
    except Exception as error:  # the client raises its own types, and those of what it sends by
        raise ClipkitError(f"{repository}: could not be uploaded ({one_line(error, 300)})") from error
    return str(done.commit_url)


def _checked_name(repository: str) -> str:
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise ClipkitError(f"{shown(repr(repository), 80)}: is no repository of Hugging Face, OWNER/NAME")
    return repository


def _fetch(repository: str, name: str, revision: str | None) -> Path:
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    try:
        with downloading():
            offline = constants.HF_HUB_OFFLINE
            if name == INDEX and not offline and try_to_load_from_cache(repository, name, revision=revision) is None:
                print(f"fetching {HUB}{repository} from {constants.ENDPOINT}/{repository}, once", file=sys.stderr)
            return Path(hf_hub_download(repository, name, revision=revision))
    except Exception as error:
        raise ClipkitError(download_failed(f"{HUB}{repository} ({name})", repository, error)) from error
