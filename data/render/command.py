"""The command: render the set, a split of it, or a preview, skip what is there, and publish it.

Each photo leaves `<split>/<landmark>/<nnn>.jpg` and a one-line JSON file under `parts/`; the lines
are gathered in `<split>.jsonl`. A folder rendered with other settings is refused.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from render import photograph, publish, scenes, truth
from render.landmarks import LANDMARKS, Landmark

PHOTOS = {"train": 15, "eval": 24, "distractors": 8, "strangers": 2}  # photos a scene
PREVIEW = 20
# Scenes without a landmark. Strangers are queries: no photo of their places is in the database.
PLACES = {"distractors": range(16), "strangers": range(100, 120)}


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(prog="render", description=__doc__)
    parser.add_argument("--preview", action="store_true", help="20 small photos in about 2 minutes")
    parser.add_argument("--split", choices=[*PHOTOS, "all"], default="all")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--size", type=int, default=320, help="long side in pixels")
    parser.add_argument("--samples", type=int, default=16, help="Cycles samples a pixel")
    parser.add_argument("--photos", type=int, help="photos of each landmark or scene")
    parser.add_argument("--only", nargs="*", help="names of the landmarks to render")
    parser.add_argument("--shot", help="kind of shot for every photo, as for a contact sheet")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--publish", type=Path, help="then write the set into this folder")
    options = parser.parse_args()
    if options.preview:
        options.size, options.samples, options.photos, options.split = 240, 8, 1, "train"
    for split in PHOTOS if options.split == "all" else (options.split,):
        render(argparse.Namespace(**vars(options) | {"split": split}))
    if options.publish:
        publish.publish(options.out, options.publish, options.seed)


def render(options: argparse.Namespace) -> None:
    """Render what is missing of a split, and gather its records."""
    _settle(options)
    count = options.photos or PHOTOS[options.split]
    work = list(_work(options))
    with tqdm(total=len(work) * count, desc=options.split, unit="photo") as bar:
        for name, landmark, number in work:
            missing = [
                k for k in range(count) if not _part(options.out, options.split, name, k).exists()
            ]
            bar.update(count - len(missing))
            if not missing:
                continue
            scene = scenes.build(landmark, options.seed, number=number)
            photograph.prepare(samples=options.samples, seed=options.seed)
            for photo in missing:
                bar.set_postfix_str(f"{name} {photo}")
                _take(scene, name, landmark, photo, options)
                bar.update()
    _gather(options.out, options.split)


def _work(options: argparse.Namespace) -> Iterator[tuple[str, Landmark | None, int]]:
    """List the scenes to render: (name, landmark or None, number)."""
    if options.split in PLACES:
        yield from ((f"place_{k:03d}", None, k) for k in PLACES[options.split])
        return
    chosen = [mark for mark in LANDMARKS if mark.split == options.split]
    if options.only:
        chosen = [mark for mark in chosen if mark.name in options.only]
    elif options.preview:
        chosen = [LANDMARKS[k] for k in np.linspace(0, len(LANDMARKS) - 1, PREVIEW).astype(int)]
    yield from ((mark.name, mark, 0) for mark in chosen)


def _take(
    scene: scenes.Scene,
    name: str,
    landmark: Landmark | None,
    photo: int,
    options: argparse.Namespace,
) -> None:
    """Take, develop and save one photo with its truth."""
    view = scenes.choose(scene, photo, shot=options.shot)
    long, short = options.size, round(options.size * 3 / 4)
    width, height = (short, long) if view.portrait else (long, short)
    things = scenes.dress(scene, view)
    radiance, depth, mask, camera = photograph.expose(view, width, height)
    scenes.undress(things)
    path = Path(options.split) / name / f"{photo:03d}.jpg"
    _write(options.out / path, photograph.develop(radiance, depth, view), view.jpeg)
    record = {
        "photo": str(path),
        "landmark": landmark.name if landmark else None,
        "family": landmark.family if landmark else None,
        "split": options.split,
        "width": width,
        "height": height,
        "view": view.record(),
        "camera": _camera(camera),
    }
    if scene.shape is not None:
        record |= _truth(scene, mask, camera)
    part = _part(options.out, options.split, name, photo)
    part.parent.mkdir(parents=True, exist_ok=True)
    fresh = part.with_suffix(".tmp")
    fresh.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    os.replace(fresh, part)


def _truth(
    scene: scenes.Scene, mask: np.ndarray, camera: tuple[np.ndarray, np.ndarray]
) -> dict[str, object]:
    """Return the landmark's visibility and mask as plain values."""
    height, width = mask.shape
    alone, framed = truth.silhouette(scene.shape, *camera, width, height)
    seen = truth.visibility(mask, alone, framed)
    shares = {
        "framed": seen.framed,
        "unhidden": seen.unhidden,
        "shown": seen.shown,
        "area": seen.area,
    }
    return {"visibility": {k: round(v, 4) for k, v in shares.items()}, "mask": truth.encode(mask)}


def _camera(camera: tuple[np.ndarray, np.ndarray]) -> dict[str, list[list[float]]]:
    """Return intrinsics `(3, 3)` and world-to-camera `(3, 4)` as lists."""
    return {"intrinsics": camera[0].round(3).tolist(), "pose": camera[1].round(5).tolist()}


def _write(path: Path, picture: Image.Image, quality: int) -> None:
    """Save a JPEG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    picture.save(fresh, "JPEG", quality=quality, optimize=True)
    os.replace(fresh, path)


def _part(out: Path, split: str, name: str, photo: int) -> Path:
    """Return the path of one photo's record."""
    return out / "parts" / split / name / f"{photo:03d}.json"


def _settle(options: argparse.Namespace) -> None:
    """Write the settings of the folder, or refuse where it has others."""
    settings = {
        "seed": options.seed,
        "size": options.size,
        "samples": options.samples,
        "shot": options.shot,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        raise SystemExit(
            f"{path} says {path.read_text().strip()}, asked for {json.dumps(settings)}: "
            "choose another --out"
        )
    path.write_text(json.dumps(settings) + "\n")


def _gather(out: Path, split: str) -> None:
    """Gather a split's records, one line each, in order."""
    lines = [part.read_text() for part in sorted((out / "parts" / split).rglob("*.json"))]
    fresh = out / f"{split}.tmp"
    fresh.write_text("".join(lines))
    os.replace(fresh, out / f"{split}.jsonl")
