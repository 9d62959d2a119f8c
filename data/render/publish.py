"""From a rendered folder to the set as it is published: Oxford5k's layout, truth, card, checksums.

Oxford's annotators sorted photos by eye; here measured visibility does. A photo *shows* the share of
its landmark's silhouette that is in the frame and not hidden. It is

- good if it shows at least `GOOD.shown`, on at least `GOOD.area` of its pixels,
- ok if it shows at least `OK.shown`, on at least `OK.area`,
- junk otherwise.

The large world is published as far as it is rendered: its training photos, its evaluation photos, or
both. A folder keeps the half that is not rendered this time.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from render import truth
from render.landmarks import Landmark, model
from render.views import generator
from render.worlds import SMALL, World

FRAME = 0.03  # a query's box leaves this share of the landmark's size around it
Record = dict[str, Any]


@dataclass(frozen=True)
class Bar:
    """What a photo must reach: share of the landmark shown, share of the pixels that show it."""

    shown: float
    area: float

    def reached(self, record: Record) -> bool:
        """Whether the photo shows enough of the landmark, and large enough."""
        seen = record["visibility"]
        return seen["shown"] >= self.shown and seen["area"] >= self.area


GOOD = Bar(shown=0.7, area=0.05)
OK = Bar(shown=0.25, area=0.01)  # 1% of 320 x 240 pixels is three cells of conv4


def grade(record: Record) -> str:
    """Return "good", "ok" or "junk"."""
    return "good" if GOOD.reached(record) else "ok" if OK.reached(record) else "junk"


def publish(
    rendered: Path, folder: Path, seed: int, *, world: World = SMALL, calibration: bool = False
) -> None:
    """Write the set from what `command.render` left; its README.md stays as it is.

    What is there before is replaced once all of the new set is written.

    Args:
        rendered: Folder of the photos and records.
        folder: Folder to write.
        seed: The set's seed.
        world: What was rendered.
        calibration: Whether the calibration photos are published, in the place of `eval`'s.

    Raises:
        SystemExit: A split is missing, or a landmark has too few good photos.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        _write_set(rendered, Path(fresh), seed, world, calibration)
        for part in Path(fresh).iterdir():
            shutil.rmtree(folder / part.name, ignore_errors=True)
            part.replace(folder / part.name)
    checksums(folder)


def _write_set(rendered: Path, folder: Path, seed: int, world: World, calibration: bool) -> None:
    read = {split: _records(rendered, split) for split in _splits(rendered, world, calibration)}
    training = read.pop("train", [])
    shown_split = "calibration" if calibration else "eval"
    shown = [record | {"grade": grade(record)} for record in read.pop(shown_split, [])]
    others = [record for records in read.values() for record in records]
    marks = [mark for split in world.landmarks for mark in world.landmarks[split]]
    sheet = [record for record in (*shown, *others, *training) if record["landmark"]]
    contact_sheet(rendered, sheet, folder / "contact_sheet.jpg", sorted(marks, key=_sheet_order))
    for record in training:
        _copy(rendered, record, folder / record["photo"])
    if not shown:
        return
    for record in (*shown, *others):
        kind = "strangers" if record["split"] == "strangers" else "images"
        photo = Path(record["photo"])
        name = f"{photo.parent.name}_{photo.stem}{photo.suffix}"
        _copy(rendered, record, folder / "eval" / kind / name)
        record["photo"] = f"{kind}/{name}"
    searched = world.landmarks[shown_split]
    # The few photos of the calibration set give as many queries as are good.
    least = 0 if calibration else world.queries
    _ground_truth(shown, folder / "eval" / "gt", seed, searched, world.queries, least)
    _write_lines(folder / "eval" / "truth.jsonl", (*shown, *others))
    _footprints(folder / "eval" / "landmarks.json", seed, searched)
    bars = {"good": [GOOD.shown, GOOD.area], "ok": [OK.shown, OK.area]}
    (folder / "eval" / "grades.json").write_text(json.dumps(bars) + "\n")


def _splits(rendered: Path, world: World, calibration: bool) -> list[str]:
    """Return the splits to publish: all, or of the large world those halves that are begun."""
    if calibration:
        return ["calibration"]
    if world.name == "small":
        return list(world.splits)
    searched = [split for split in world.splits if split != "train"]
    begun = [split for split in world.splits if (rendered / f"{split}.jsonl").exists()]
    halves = [half for half in (searched, ["train"]) if set(half) & set(begun)]
    return [split for half in halves or [searched] for split in half]


def _sheet_order(mark: Landmark) -> tuple[int, int]:
    """Order landmarks for the contact sheet: by number, siblings after those they resemble."""
    return (mark.number - 1000, 1) if mark.sibling_of else (mark.number, 0)


def _records(rendered: Path, split: str) -> list[Record]:
    """Read a split's records, in order.

    Raises:
        SystemExit: The split was not rendered to its end.
    """
    path = rendered / f"{split}.jsonl"
    if not path.exists():
        raise SystemExit(f"{path} is missing: render that split first (--split {split})")
    return [json.loads(line) for line in path.read_text().splitlines()]


def _copy(rendered: Path, record: Record, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(rendered / record["photo"], path)


def _ground_truth(
    shown: list[Record],
    folder: Path,
    seed: int,
    marks: Iterable[Landmark],
    queries: int,
    least: int,
) -> None:
    """Write Oxford5k's files: `<landmark>_<i>_query.txt`, `_good`, `_ok` and `_junk`."""
    folder.mkdir(parents=True)
    numbers = {mark.name: mark.number for mark in marks}
    for landmark in sorted({record["landmark"] for record in shown}):
        mine = [record for record in shown if record["landmark"] == landmark]
        stems = {
            kind: [Path(r["photo"]).stem for r in mine if r["grade"] == kind]
            for kind in ("good", "ok", "junk")
        }
        good = [record for record in mine if record["grade"] == "good"]
        drawn = generator(seed, numbers[landmark], 5).permutation(len(good))[:queries]
        if len(drawn) < least:
            raise SystemExit(f"{landmark} has {len(good)} good photos, needs {least}: render more")
        for i, row in enumerate(sorted(drawn), start=1):
            query = good[row]
            box = " ".join(f"{edge:.1f}" for edge in query_box(truth.decode(query["mask"])))
            files = {kind: "".join(f"{stem}\n" for stem in stems[kind]) for kind in stems}
            files["query"] = f"{Path(query['photo']).stem} {box}\n"
            for kind, text in files.items():
                (folder / f"{landmark}_{i}_{kind}.txt").write_text(text)


def query_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 around a mask `(height, width)`, with some room, within the photo."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    room = FRAME * max(bottom - top, right - left)
    return (
        float(max(left - room, 0)),
        float(max(top - room, 0)),
        float(min(right + room, width)),
        float(min(bottom + room, height)),
    )


def _footprints(path: Path, seed: int, marks: Iterable[Landmark]) -> None:
    """Write the box that each landmark with queries stands in, in metres: for maps."""
    boxes = {}
    for landmark in marks:
        low, high = model(landmark, seed).shape.bounds()
        boxes[landmark.name] = {
            "family": landmark.family,
            "low": low.round(2).tolist(),
            "high": high.round(2).tolist(),
        }
    path.write_text(json.dumps(boxes, indent=1) + "\n")


def _write_lines(path: Path, records: Iterable[Record]) -> None:
    lines = (json.dumps(record, separators=(",", ":")) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines))


def checksums(folder: Path) -> None:
    """Write SHA256SUMS over every other file of the set, as `sha256sum --check` reads it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    lines = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    )
    (folder / "SHA256SUMS").write_text("".join(lines))


def contact_sheet(
    rendered: Path,
    records: Iterable[Record],
    path: Path,
    marks: Iterable[Landmark],
    *,
    columns: int = 10,
    width: int = 160,
) -> None:
    """Paste one photo of every landmark, the one that shows most of it by day, into one picture."""
    best: dict[str, Record] = {}
    for record in records:
        if record["width"] < record["height"] or record["view"]["night"]:
            continue
        if record["landmark"] not in best or _beauty(record) > _beauty(best[record["landmark"]]):
            best[record["landmark"]] = record
    height = width * 3 // 4
    rows = -(-len(best) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for k, landmark in enumerate(mark.name for mark in marks if mark.name in best):
        photo = Image.open(rendered / best[landmark]["photo"]).resize((width, height))
        sheet.paste(photo, (k % columns * width, k // columns * height))
    sheet.save(path, quality=88)


def _beauty(record: Record) -> float:
    """Rank photos for the contact sheet: all of the landmark, filling a third of the frame, in clear air."""
    seen, view = record["visibility"], record["view"]
    return seen["shown"] - abs(seen["area"] - 0.33) - 100 * view["fog"] - 0.3 * view["clouds"]
