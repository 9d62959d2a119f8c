"""The command: render a world, a split of it, or a preview, skip what is there, and publish it.

Each photo leaves `<split>/<landmark>/<nnn>.jpg` (or `.webp`) and a one-line JSON file under `parts/`;
once a split is complete, its lines are gathered in `<split>.jsonl`. A folder rendered with other
settings is refused. Several processes may share a folder: `--part 0/2` and `--part 1/2`.
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
from render.views import HABITS
from render.worlds import WORLDS, World

PREVIEW = 20
FORMATS = {"jpg": {"format": "JPEG", "optimize": True}, "webp": {"format": "WEBP", "method": 6}}


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(prog="render", description=__doc__)
    parser.add_argument("--world", choices=WORLDS, default="small")
    parser.add_argument("--preview", action="store_true", help="small photos, one a landmark")
    splits = dict.fromkeys(split for world in WORLDS.values() for split in world.photos)
    parser.add_argument("--split", choices=[*splits, "all"], default="all")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--size", type=int, help="long side in pixels")
    parser.add_argument("--samples", type=int, help="Cycles samples a pixel")
    parser.add_argument("--photos", type=int, help="photos of each landmark or scene")
    parser.add_argument("--only", nargs="*", help="names of the landmarks to render")
    parser.add_argument("--shot", help="kind of shot for every photo, as for a contact sheet")
    parser.add_argument("--habits", choices=HABITS, help="photographers' habits, except in train")
    parser.add_argument(
        "--part", type=_part_of, default=(0, 1), help="K/N: every N-th scene from K"
    )
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--publish", type=Path, help="then write the set into this folder")
    options = parser.parse_args()
    world = WORLDS[options.world]
    if options.preview:
        options.size, options.samples, options.photos = world.size * 3 // 4, 8, 1
        options.split = "train" if world.name == "small" else "eval"
    options.size = options.size or world.size
    options.samples = options.samples or world.samples
    if options.split not in (*world.photos, "all"):
        raise SystemExit(f"the {world.name} world has no split {options.split}: {[*world.photos]}")
    for split in world.splits if options.split == "all" else (options.split,):
        render(argparse.Namespace(**vars(options) | {"split": split}))
    if options.publish:
        calibration = options.split == "calibration"
        publish.publish(
            options.out, options.publish, options.seed, world=world, calibration=calibration
        )


def _part_of(text: str) -> tuple[int, int]:
    """Read "K/N" as (K, N), 0 <= K < N."""
    k, n = map(int, text.split("/"))
    if not 0 <= k < n:
        raise argparse.ArgumentTypeError(f"{text}: expected K/N with 0 <= K < N, such as 0/2")
    return k, n


def render(options: argparse.Namespace) -> None:
    """Render what is missing of a part of a split, and gather the split's records if complete."""
    settle(options)
    world = WORLDS[options.world]
    numbers = world.photos[options.split]
    if options.photos:
        numbers = range(numbers.start, numbers.start + options.photos)
    whole = list(_work(options, world))
    first, step = options.part
    mine = whole[first::step]
    with tqdm(total=len(mine) * len(numbers), desc=options.split, unit="photo") as bar:
        for name, landmark, number in mine:
            missing = [
                k for k in numbers if not _part(options.out, options.split, name, k).exists()
            ]
            bar.update(len(numbers) - len(missing))
            if not missing:
                continue
            scene = scenes.build(
                landmark,
                options.seed,
                habits=HABITS[_habits(options, landmark)],
                number=number,
                surrounded_by=world.stock[options.split],
            )
            photograph.prepare(samples=options.samples, seed=options.seed)
            for photo in missing:
                bar.set_postfix_str(f"{name} {photo}")
                if not _part(options.out, options.split, name, photo).exists():
                    _take(scene, name, landmark, photo, options)
                bar.update()
    parts = [_part(options.out, options.split, name, k) for name, _, _ in whole for k in numbers]
    gather(options.out, options.split, parts)


def _habits(options: argparse.Namespace, landmark: Landmark | None) -> str:
    """Return the name of a scene's habits: training photos keep theirs, a preview mixes splits."""
    split = landmark.split if landmark and options.preview else options.split
    own = WORLDS[options.world].habits[split]
    return own if split == "train" else options.habits or own


def _work(options: argparse.Namespace, world: World) -> Iterator[tuple[str, Landmark | None, int]]:
    """List the scenes to render: (name, landmark or None, number)."""
    if options.split in world.places:
        yield from ((f"place_{k:03d}", None, k) for k in world.places[options.split])
        return
    chosen = list(world.landmarks[options.split])
    if options.only:
        chosen = [mark for mark in chosen if mark.name in options.only]
    elif options.preview and world.name == "small":
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
    world = WORLDS[options.world]
    view = scenes.choose(scene, photo, shot=options.shot)
    long, short = options.size, round(options.size * 3 / 4)
    width, height = (short, long) if view.portrait else (long, short)
    things = scenes.dress(scene, view)
    radiance, depth, mask, camera = photograph.expose(view, width, height)
    scenes.undress(things)
    path = Path(options.split) / name / f"{photo:03d}.{world.suffix}"
    _write(options.out / path, photograph.develop(radiance, depth, view), world.quality(view))
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
    if landmark and landmark.sibling_of:
        record["sibling_of"] = landmark.sibling_of
    if scene.shape is not None:
        record |= _truth(scene, mask, camera)
    part = _part(options.out, options.split, name, photo)
    part.parent.mkdir(parents=True, exist_ok=True)
    _replace(part, json.dumps(record, separators=(",", ":")) + "\n")


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
    """Save a photo, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    picture.save(fresh, quality=quality, **FORMATS[path.suffix[1:]])
    os.replace(fresh, path)


def _replace(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, also while another process writes it."""
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text(text)
    os.replace(fresh, path)


def _part(out: Path, split: str, name: str, photo: int) -> Path:
    """Return the path of one photo's record."""
    return out / "parts" / split / name / f"{photo:03d}.json"


def settle(options: argparse.Namespace) -> None:
    """Write the settings of the folder, or refuse where it has others."""
    settings = {
        "seed": options.seed,
        "size": options.size,
        "samples": options.samples,
        "shot": options.shot,
    }
    if options.world != "small":
        settings |= {"world": options.world, "habits": options.habits}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "settings.json"
    if not path.exists():
        _replace(path, json.dumps(settings) + "\n")
    if json.loads(path.read_text()) != settings:
        raise SystemExit(
            f"{path} says {path.read_text().strip()}, asked for {json.dumps(settings)}: "
            "choose another --out"
        )


def gather(out: Path, split: str, parts: list[Path]) -> None:
    """Gather a split's records, one line each, in order, once all of `parts` are there.

    Of several processes, the last one to finish does it.
    """
    missing = sum(not part.exists() for part in parts)
    if missing:
        print(f"{split}: {missing} of {len(parts)} photos are not rendered yet")
        return
    lines = [part.read_text() for part in sorted((out / "parts" / split).rglob("*.json"))]
    _replace(out / f"{split}.jsonl", "".join(lines))
