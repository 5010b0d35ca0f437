"""What the stand-in for Kaggle knows of datasets and notebooks: one user's, private, as its API shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DENIED_DATASET = "Permission 'datasets.get' was denied"
DENIED_KERNEL = "Permission 'kernels.get' was denied"


@dataclass
class Shelf:
    """Datasets by `owner/slug`, each a list of versions of files {name: bytes}; notebooks, lists of their pushes.

    `steps` are the states that a new version of a dataset, and the run of a notebook, show one after another.
    """

    datasets: dict[str, list[dict[str, bytes]]] = field(default_factory=dict)
    kernels: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    dataset_steps: list[str] = field(default_factory=lambda: ["BLOBS_RECEIVED", "READY"])
    kernel_steps: list[str] = field(default_factory=lambda: ["QUEUED", "RUNNING", "COMPLETE"])
    shown: dict[str, list[str]] = field(default_factory=dict)
    refused_sources: dict[str, list[str]] = field(default_factory=dict)
    failure: str = ""
    log: str = ""
    output: dict[str, bytes] = field(default_factory=lambda: {"submission.csv": b"id,label\n"})
    used_tokens: set[str] = field(default_factory=set)


class CodeRequests:
    """Answers the requests about datasets and notebooks; `refuse(code, message)` returns an exception to raise."""

    def __init__(self, kaggle: Any, refuse: Any) -> None:
        self.kaggle = kaggle
        self.shelf: Shelf = kaggle.shelf
        self.refuse = refuse

    def start_blob_upload(self, request: dict[str, Any]) -> Any:
        assert request["type"] == "DATASET"
        token = f"blob{len(self.kaggle.uploads) + 1}"
        self.kaggle.uploads[token] = {
            "size": request["contentLength"], "data": b"", "parts": [], "name": request["name"],
        }  # fmt: skip
        return {"token": token, "createUrl": f"http://localhost/storage/{token}"}

    def get_dataset_status(self, request: dict[str, Any]) -> Any:
        name = self._dataset(request)
        return {"status": self._step(name)}

    def list_dataset_files(self, request: dict[str, Any]) -> Any:
        name = self._dataset(request)
        versions = self.shelf.datasets[name]
        ready = self._steps(name)[0] == "READY"
        shown = versions[-1] if ready else versions[-2] if len(versions) > 1 else {}
        return {"datasetFiles": [{"name": name, "totalBytes": str(len(data))} for name, data in shown.items()]}

    def create_dataset(self, request: dict[str, Any]) -> Any:
        name = f"{request['ownerSlug']}/{request['slug']}"
        assert request["isPrivate"] is True and 6 <= len(request["slug"]) <= 50 and request["licenseName"]
        if name in self.shelf.datasets:
            return {"status": "error", "error": "the slug is in use"}
        return self._new_version(name, request["files"])

    def create_dataset_version(self, request: dict[str, Any]) -> Any:
        return self._new_version(self._dataset(request), request["body"]["files"])

    def get_kernel(self, request: dict[str, Any]) -> Any:
        pushes = self._kernel(request)
        return {"metadata": {"currentVersionNumber": len(pushes)}, "blob": {"source": pushes[-1]["text"]}}

    def save_kernel(self, request: dict[str, Any]) -> Any:
        # What a competition without internet asks for, and what the client would set otherwise.
        assert request["enableInternet"] is False and request["isPrivate"] is True
        assert request["newTitle"] == request["slug"].partition("/")[2]
        pushes = self.shelf.kernels.setdefault(request["slug"], [])
        pushes.append(request)
        self.shelf.shown[f"kernel {request['slug']} v{len(pushes)}"] = list(self.shelf.kernel_steps)
        url = f"https://www.kaggle.com/code/{request['slug']}"
        unknown = [name for name in request["datasetDataSources"] if name not in self.shelf.datasets]
        invalid = {"invalidDatasetSources": unknown} if unknown else {}
        return {
            "ref": request["slug"],
            "url": url,
            "versionNumber": len(pushes),
            **invalid,
            **self.shelf.refused_sources,
        }

    def get_kernel_session_status(self, request: dict[str, Any]) -> Any:
        self._kernel(request)
        key = f"kernel {request['userName']}/{request['kernelSlug']} {request['versionLabel']}"
        status = self._step(key)
        return {
            **({} if status == "QUEUED" else {"status": status}),
            **({"failureMessage": self.shelf.failure} if status == "ERROR" and self.shelf.failure else {}),
        }

    def list_kernel_session_output(self, request: dict[str, Any]) -> Any:
        self._kernel(request)
        return {"files": [{"fileName": name, "url": "http://x"} for name in self.shelf.output], "log": self.shelf.log}

    def create_code_submission(self, request: dict[str, Any]) -> Any:
        """Submit the output of a version that is complete; the platform then runs it again on the hidden test set."""
        competition = self.kaggle.competitions[request["competitionName"]]
        name = f"{request['kernelOwner']}/{request['kernelSlug']}"
        steps = self.shelf.shown[f"kernel {name} v{request['kernelVersion']}"]
        if steps != ["COMPLETE"] or self.kaggle.used_today >= competition.daily:
            raise self.refuse(400, "Bad Request")
        data = self.shelf.output[request["fileName"]]
        self.kaggle.used_today += 1
        ref = 100 + len(self.kaggle.submissions) + 1
        row = {"ref": ref, "description": request["submissionDescription"], "data": data, "polls": 0}
        self.kaggle.submissions.append({**row, "code": request, "verdict": dict(self.kaggle.verdict)})
        return {"message": "Successfully submitted", "ref": ref}

    def _new_version(self, name: str, files: list[dict[str, Any]]) -> Any:
        tokens = [file["token"] for file in files]
        uploads = [self.kaggle.uploads[token] for token in tokens]
        if self.shelf.used_tokens & set(tokens) or any(len(u["data"]) != u["size"] for u in uploads):
            return {"status": "error", "error": "an upload is missing"}
        self.shelf.used_tokens |= set(tokens)
        self.shelf.datasets.setdefault(name, []).append({u["name"]: u["data"] for u in uploads})
        self.shelf.shown[name] = list(self.shelf.dataset_steps)
        return {"ref": f"https://www.kaggle.com/datasets/{name}", "status": "Ok"}

    def _dataset(self, request: dict[str, Any]) -> str:
        name = f"{request['ownerSlug']}/{request['datasetSlug']}"
        if name not in self.shelf.datasets:
            raise self.refuse(403, DENIED_DATASET)
        return name

    def _kernel(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        name = f"{request['userName']}/{request['kernelSlug']}"
        if name not in self.shelf.kernels:
            raise self.refuse(403, DENIED_KERNEL)
        return self.shelf.kernels[name]

    def _steps(self, key: str) -> list[str]:
        return self.shelf.shown[key]

    def _step(self, key: str) -> str:
        """Return the state, and go on to the next one."""
        steps = self._steps(key)
        return steps.pop(0) if len(steps) > 1 else steps[0]
