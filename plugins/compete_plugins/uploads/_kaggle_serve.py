"""The child process of `_kaggle`: the requests that it answers, those of code competitions here."""

from __future__ import annotations

import logging
from typing import Any

from . import _kaggle_client as client
from ._serve import serve

DATASETS = ("datasets.DatasetApiService", "datasets.types.dataset_api_service")
KERNELS = ("kernels.KernelsApiService", "kernels.types.kernels_api_service")
BLOBS = ("blobs.BlobApiService", "blobs.types.blob_api_service")


class StopRetrying(logging.Handler):
    """Stops urllib3's own retries of an upload, by the only sign they give: a warning.

    They would send the whole file again from its first byte, up to ten times, with 367 s of silence in between.
    Asking how much has arrived and resuming there is cheaper.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("Retrying"):
            raise ConnectionError("the connection broke")


def account() -> str:
    """Return the user's name, below which datasets and notebooks are."""
    return client.user()


def start_blob(name: str, size: int, modified: int) -> Any:  # noqa: ANN401
    """Ask for the upload address of a dataset's file; return its token and URL."""
    from kagglesdk.blobs.types.blob_api_service import ApiBlobType

    return client.call(
        *BLOBS,
        "StartBlobUpload",
        "ApiStartBlobUploadRequest",
        type=ApiBlobType.DATASET,
        name=name,
        content_length=size,
        last_modified_epoch_seconds=modified,
    )


def dataset_status(owner: str, slug: str) -> Any:  # noqa: ANN401
    """Return how far a dataset's newest version is."""
    return client.call(*DATASETS, "GetDatasetStatus", "ApiGetDatasetStatusRequest", owner_slug=owner, dataset_slug=slug)


def dataset_files(owner: str, slug: str) -> Any:  # noqa: ANN401
    """Return the files of a dataset's newest version."""
    return client.call(
        *DATASETS, "ListDatasetFiles", "ApiListDatasetFilesRequest", owner_slug=owner, dataset_slug=slug, page_size=20
    )


def create_dataset(owner: str, slug: str, title: str, token: str) -> Any:  # noqa: ANN401
    """Make a private dataset of one uploaded file."""
    return client.call(
        *DATASETS,
        "CreateDataset",
        "ApiCreateDatasetRequest",
        owner_slug=owner,
        slug=slug,
        title=title,
        license_name="CC0-1.0",  # Kaggle asks for one; nobody else sees a private dataset
        is_private=True,
        files=[_file(token)],
    )


def create_dataset_version(owner: str, slug: str, notes: str, token: str) -> Any:  # noqa: ANN401
    """Make a new version of a dataset, which holds one uploaded file."""
    from kagglesdk.datasets.types.dataset_api_service import ApiCreateDatasetVersionRequestBody

    body = ApiCreateDatasetVersionRequestBody()
    body.version_notes = notes
    body.files = [_file(token)]
    return client.call(
        *DATASETS,
        "CreateDatasetVersion",
        "ApiCreateDatasetVersionRequest",
        owner_slug=owner,
        dataset_slug=slug,
        body=body,
    )


def kernel(owner: str, slug: str) -> Any:  # noqa: ANN401
    """Return the newest version of a notebook: its number and its text."""
    return client.call(*KERNELS, "GetKernel", "ApiGetKernelRequest", user_name=owner, kernel_slug=slug)


def save_kernel(owner: str, slug: str, title: str, text: str, dataset: str, competition: str, accelerator: str) -> Any:  # noqa: ANN401
    """Save a private notebook without internet, which runs at once."""
    return client.call(
        *KERNELS,
        "SaveKernel",
        "ApiSaveKernelRequest",
        slug=f"{owner}/{slug}",
        new_title=title,
        text=text,
        language="python",
        kernel_type="notebook",
        is_private=True,
        enable_internet=False,
        enable_gpu=accelerator.lower().startswith("nvidia"),
        enable_tpu=accelerator.lower().startswith("tpu"),
        machine_shape=accelerator or None,
        dataset_data_sources=[dataset],
        competition_data_sources=[competition],
    )


def kernel_status(owner: str, slug: str, version: int) -> Any:  # noqa: ANN401
    """Return how far the run of a notebook's version is."""
    return client.call(
        *KERNELS,
        "GetKernelSessionStatus",
        "ApiGetKernelSessionStatusRequest",
        user_name=owner,
        kernel_slug=slug,
        version_label=f"v{version}",
    )


def kernel_output(owner: str, slug: str, version: int, page_token: str) -> Any:  # noqa: ANN401
    """Return a page of the files that a notebook's version wrote, and its log."""
    return client.call(
        *KERNELS,
        "ListKernelSessionOutput",
        "ApiListKernelSessionOutputRequest",
        user_name=owner,
        kernel_slug=slug,
        version_label=f"v{version}",
        page_size=100,
        page_token=page_token or None,
    )


def create_code(slug: str, owner: str, kernel: str, version: int, file: str, message: str) -> Any:  # noqa: ANN401
    """Submit a file that a version of a notebook wrote."""
    return client.call(
        client.SERVICE,
        "competitions.types.competition_api_service",
        "CreateCodeSubmission",
        "ApiCreateCodeSubmissionRequest",
        competition_name=slug,
        kernel_owner=owner,
        kernel_slug=kernel,
        kernel_version=version,
        file_name=file,
        submission_description=message,
    )


def _file(token: str) -> Any:  # noqa: ANN401
    from kagglesdk.datasets.types.dataset_api_service import ApiDatasetNewFile

    file = ApiDatasetNewFile()
    file.token = token
    return file


ACTIONS = {
    action.__name__: action
    for action in (
        account, start_blob, dataset_status, dataset_files, create_dataset, create_dataset_version, kernel, save_kernel,
        kernel_status, kernel_output, create_code,
    )
}  # fmt: skip

if __name__ == "__main__":
    logging.getLogger("urllib3.connectionpool").addHandler(StopRetrying())
    serve({**client.ACTIONS, **ACTIONS}, client.explain)
