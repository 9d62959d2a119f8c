"""The features of a collection on disk: one small file a photo, and what made them.

A store remembers the model, the extraction and the reduction it was filled with and refuses to mix:
features of two models cannot be compared. Files appear whole or not at all, so a run that was cut
short goes on where it stopped.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from delfjax.axes import Features
from delfjax.reduction import Reduction

MANIFEST, REDUCTION, SUFFIX = "store.json", "reduction.safetensors", ".npz"


class StoreError(RuntimeError):
    """A folder of features, or of a training run, holds something else than what is asked of it."""


class FeatureStore:
    """A folder of features, by photo name.

    Args:
        path: The folder; made if missing.
        made_by: What determines the features: model checksum, extraction, reduction. None opens an
            existing store as it is.

    Raises:
        StoreError: If the store was made by something else, or if there is none to open.
    """

    def __init__(self, path: Path | str, made_by: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        if made_by is not None:
            self.made_by = claim(self.path, MANIFEST, made_by, kind="feature store")
        elif (self.path / MANIFEST).exists():
            self.made_by = json.loads((self.path / MANIFEST).read_text())
        else:
            raise StoreError(
                f"{self.path}: no feature store here; make one with: extract FOLDER STORE"
            )

    @property
    def reduction(self) -> Reduction | None:
        """The PCA that this store's descriptors went through; None until one is set."""
        path = self.path / REDUCTION
        return Reduction.load(path) if path.exists() else None

    @reduction.setter
    def reduction(self, reduction: Reduction) -> None:
        temporary = self.path / f".{REDUCTION}"
        reduction.save(temporary)
        temporary.replace(self.path / REDUCTION)

    def _file(self, name: str) -> Path:
        return self.path / "features" / (name + SUFFIX)

    def __contains__(self, name: str) -> bool:
        return self._file(name).exists()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """Photo names in the store, sorted."""
        root = self.path / "features"
        files = (path.relative_to(root).as_posix() for path in root.rglob(f"*{SUFFIX}"))
        return sorted(name.removesuffix(SUFFIX) for name in files)

    def write(self, name: str, features: Features) -> None:
        """Keep a photo's features; descriptors in half precision."""
        path = self._file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.part")  # a name that is never listed as a photo
        with temporary.open("wb") as stream:
            np.savez(
                stream,
                positions=features.positions,
                scales=features.scales,
                scores=features.scores,
                descriptors=features.descriptors.astype(np.float16),
                image_size=np.array(features.image_size),
            )
        temporary.replace(path)

    def read(self, name: str) -> Features:
        """Return a photo's features, in single precision.

        Raises:
            StoreError: If the store has no such photo, or its file is damaged.
        """
        path = self._file(name)
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                height, width = (int(side) for side in arrays["image_size"])
                return Features(
                    positions=arrays["positions"],
                    scales=arrays["scales"],
                    scores=arrays["scores"],
                    descriptors=arrays["descriptors"].astype(np.float32),
                    image_size=(height, width),
                )
        except FileNotFoundError:
            raise StoreError(
                f"{self.path}: no features of {name!r}; extract that photo first"
            ) from None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path}: damaged ({error}); remove it and extract again") from error


def claim(path: Path, manifest: str, made_by: Mapping[str, Any], *, kind: str) -> dict[str, Any]:
    """Take a folder for what is made by given settings, or find it taken for just that.

    Args:
        path: The folder; made if missing.
        manifest: Name of the file in it that holds the settings.
        made_by: All that determines what the folder will hold.
        kind: What it will be, in words.

    Returns:
        The settings, as JSON keeps them.

    Raises:
        StoreError: If it is taken for other settings, or for something else.
    """
    wanted = json.loads(json.dumps(made_by))  # tuples become lists, as they are on disk
    if (path / manifest).exists():
        found = json.loads((path / manifest).read_text())
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) != found.get(key):
                raise StoreError(
                    f"{path}: made with {key} = {found.get(key)}, but {wanted.get(key)} is "
                    "asked for; use another folder, or remove this one to start again"
                )
    elif path.exists() and any(path.iterdir()):
        raise StoreError(f"{path}: neither empty nor a {kind}; choose another folder")
    else:
        path.mkdir(parents=True, exist_ok=True)
        _write(path / manifest, (json.dumps(wanted, indent=2, sort_keys=True) + "\n").encode())
    return wanted


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as stream:
        stream.write(data)
        os.fsync(stream.fileno())
    temporary.replace(path)
