"""The csv files of Google-Landmarks: labels, solutions, and predictions as they are handed in.

Photos are named by 16 hexadecimal digits. A solution says of each test photo what is right, and
whether it counts for the *public* or the *private* score or is *ignored*. Every file is read once,
line by line. Not in the paper, which is older. Sources: the page of the data set, and
``dataset_file_io.py`` of tensorflow/models, with which these readers agree; but here repeated photos,
names of another form and other headers are errors.
"""

import csv
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from delfjax.datasets.benchmark import DatasetError

PHOTO = re.compile(r"[0-9a-f]{16}")
LANDMARK = re.compile(r"[0-9]{1,18}")
NONE = ("", "None")  # how a photo without a landmark is marked
LABELS = (("id", "url", "landmark_id"), ("id", "landmark_id"), ("id", "url"), ("id",))
CATEGORIES = (("landmark_id", "category"),)
RECOGNITION, RETRIEVAL = ("id", "landmarks"), ("id", "images")
USAGES = ("Public", "Private", "Ignored")

Value = TypeVar("Value")
Parse = Callable[[str, str], Value]  # of a field, and where it stands


@dataclass(frozen=True, kw_only=True)
class Solution(Generic[Value]):
    """What is right, by test photo; and the test photos that are ignored."""

    public: dict[str, Value]
    private: dict[str, Value]
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Predictions(Generic[Value]):
    """What was predicted, by test photo, without those that are ignored or got no prediction."""

    public: dict[str, Value]
    private: dict[str, Value]


class Prediction(NamedTuple):
    """What is said of a photo: the landmark that it shows, and how sure that is."""

    landmark: int
    score: float


def read_labels(path: Path) -> dict[str, int | None]:
    """Read photos and their landmarks, in order; None where a photo, or the whole file, has none.

    Such are ``train.csv`` and ``index_image_to_landmark.csv``, whose numbers differ in version 2;
    and, without landmarks, ``index.csv`` and ``test.csv``.

    Raises:
        DatasetError: The file cannot be read, or a line of it says what cannot be.
    """
    labels: dict[str, int | None] = {}
    for where, row in _rows(path, LABELS):
        label = row.get("landmark_id", "")
        _add(labels, row["id"], None if label in NONE else _integer(label, where), where)
    return labels


def read_categories(path: Path) -> dict[int, str]:
    """Read ``index_label_to_category.csv``: of each landmark of the index its Wikimedia address.

    Raises:
        DatasetError: As `read_labels`.
    """
    rows = _rows(path, CATEGORIES)
    return {_integer(row["landmark_id"], where): row["category"] for where, row in rows}


def read_recognition_solution(path: Path) -> Solution[tuple[int, ...]]:
    """Read ``recognition_solution_v2.1.csv``: the landmarks, maybe none, that each test photo shows.

    Raises:
        DatasetError: As `read_labels`.
    """
    return _read_solution(path, RECOGNITION, _integer)


def read_retrieval_solution(
    path: Path, index: Container[str] | None = None
) -> Solution[tuple[str, ...]]:
    """Read ``retrieval_solution_v2.1.csv``: the index photos of each test photo's landmark.

    Args:
        path: The file.
        index: Photos of the index. None: any.

    Raises:
        DatasetError: As `read_labels`, or a photo is not in the index.
    """

    def indexed(photo: str, where: str) -> str:
        if index is not None and photo not in index:
            raise DatasetError(
                f"{where}: {photo!r} is not in the index; expected one of its photos"
            )
        return _photo(photo, where)

    return _read_solution(path, RETRIEVAL, indexed)


def read_recognition_predictions(path: Path, solution: Solution) -> Predictions[Prediction]:
    """Read lines ``id,landmark score``: one landmark for each test photo, or none.

    Raises:
        DatasetError: As `read_labels`, or a photo is not in the solution.
    """

    def parse(field: str, where: str) -> Prediction:
        landmark, *score = field.split()
        try:
            (number,) = map(float, score)
        except ValueError:
            number = float("nan")
        if isnan(number):
            raise DatasetError(f"{where}: {field!r}; expected a landmark's number and a score")
        return Prediction(_integer(landmark, where), number)

    return _read_predictions(path, RECOGNITION, solution, parse)


def read_retrieval_predictions(path: Path, solution: Solution) -> Predictions[tuple[str, ...]]:
    """Read lines ``id,photo photo ...``: index photos for each test photo, best first, or none.

    Raises:
        DatasetError: As `read_labels`, or a photo is not in the solution.
    """

    def parse(field: str, where: str) -> tuple[str, ...]:
        return tuple(_photo(photo, where) for photo in field.split())

    return _read_predictions(path, RETRIEVAL, solution, parse)


def _read_solution(path: Path, header: tuple[str, str], parse: Parse) -> Solution:
    parts: dict[str, dict] = {usage: {} for usage in USAGES}
    seen: dict[str, None] = {}
    for where, row in _rows(path, ((*header, "Usage"),)):
        _add(seen, row["id"], None, where)
        if row["Usage"] not in USAGES:
            raise DatasetError(f"{where}: usage {row['Usage']!r}; expected {', '.join(USAGES)}")
        right = row[header[1]]
        if right == "None" or row["Usage"] == "Ignored":
            parts["Ignored"][row["id"]] = ()
            continue
        values = tuple(parse(value, where) for value in right.split())
        if len(set(values)) < len(values):
            raise DatasetError(f"{where}: {right!r} lists something twice; expected it once")
        parts[row["Usage"]][row["id"]] = values
    public, private, ignored = parts.values()
    return Solution(public=public, private=private, ignored=tuple(ignored))


def _read_predictions(
    path: Path, header: tuple[str, str], solution: Solution, parse: Parse
) -> Predictions:
    public: dict[str, Value] = {}
    private: dict[str, Value] = {}
    ignored, seen = set(solution.ignored), {}
    for where, row in _rows(path, (header,)):
        photo, field = row["id"], row[header[1]].strip()
        _add(seen, photo, None, where)
        if photo in ignored:
            continue
        if photo not in solution.public and photo not in solution.private:
            raise DatasetError(f"{where}: {photo!r} is not in the solution; expected a test photo")
        if field:
            part = public if photo in solution.public else private
            part[photo] = parse(field, where)
    return Predictions(public=public, private=private)


def _rows(path: Path, headers: tuple[tuple[str, ...], ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each line stands, and its fields by name; blank lines are passed over."""
    wanted = " or ".join(",".join(header) for header in headers)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = csv.reader(stream)
            header = tuple(next(lines, ()))
            if header not in headers:
                raise DatasetError(
                    f"{path}, line 1: header {','.join(header)!r}; expected {wanted}"
                )
            for fields in lines:
                if not fields:
                    continue
                where = f"{path}, line {lines.line_num}"
                if len(fields) != len(header):
                    raise DatasetError(
                        f"{where}: {len(fields)} fields; expected {len(header)}: {','.join(header)}"
                    )
                yield where, dict(zip(header, fields, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{path}: cannot be read ({error}); expected a csv file with header {wanted}. Get it again "
            "from its publisher"
        ) from error


def _add(values: dict, photo: str, value: object, where: str) -> None:
    if _photo(photo, where) in values:
        raise DatasetError(f"{where}: {photo!r} has a line above already; expected one a photo")
    values[photo] = value


def _photo(photo: str, where: str) -> str:
    if not PHOTO.fullmatch(photo):
        raise DatasetError(f"{where}: photo {photo!r}; expected 16 digits 0 to 9 or a to f")
    return photo


def _integer(text: str, where: str) -> int:
    if not LANDMARK.fullmatch(text):
        raise DatasetError(f"{where}: landmark {text!r}; expected an integer")
    return int(text)
