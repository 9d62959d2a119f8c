"""Fake data sets with tiny photos, in the layouts of the published archives.

The photos of one landmark are shifted views of one image, so that they can be matched.
"""

import pickle
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image
from worlds import SIZE, draw

HEIGHT, WIDTH = SIZE
BOX = "4.5 2.0 60.0 46.25"  # x1 y1 x2 y2
WEB_PAGE = b"<html><head><title>302 Found</title></head></html>\n"  # content of corrupt photos
LANDMARKS = {
    "oxford5k": "all_souls ashmolean balliol bodleian christ_church cornmarket hertford keble "
    "magdalen pitt_rivers radcliffe_camera",
    "paris6k": "defense eiffel invalides louvre moulinrouge museedorsay notredame pantheon pompidou "
    "sacrecoeur triomphe",
}


@cache
def view(landmark: int, number: int = 0) -> bytes:
    """Return a JPEG of a landmark; each number is a slightly different view."""
    shift = 4 * (number % 8)
    large = draw(landmark, (HEIGHT + 32, WIDTH + 32))
    stream = BytesIO()
    Image.fromarray(large[shift : shift + HEIGHT, shift : shift + WIDTH]).save(stream, "JPEG")
    return stream.getvalue()


def write(path: Path, content: bytes | str) -> Path:
    """Write a file, creating its folder, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def oxford5k(root: Path) -> Path:
    """Make 55 queries and 78 photos, all in one folder, as the archives unpack.

    Of each landmark, photos 1 to 5 are good and are the queries; photo 6 is ok and 7 is junk.
    """
    folder = root / "oxford5k"
    for number, landmark in enumerate(LANDMARKS["oxford5k"].split()):
        stems = [f"{landmark}_{i:06d}" for i in range(1, 8)]
        for i, stem in enumerate(stems):
            write(folder / f"{stem}.jpg", view(number, i))
        ground_truth(folder, landmark, stems, prefix="oxc1_")
    write(folder / "oxford_000001.jpg", view(100))
    write(folder / "README.txt", "The Oxford Buildings Dataset\n")
    return folder


def paris6k(root: Path) -> Path:
    """Make photos in sub-folders, with the ground truth apart: 78 valid photos, one corrupt."""
    folder = root / "paris6k"
    for number, landmark in enumerate(LANDMARKS["paris6k"].split()):
        stems = [f"paris_{landmark}_{i:06d}" for i in range(1, 8)]
        for i, stem in enumerate(stems):
            write(folder / "paris" / landmark / f"{stem}.jpg", view(number, i))
        ground_truth(folder / "paris_120310", landmark, stems)
    write(folder / "paris" / "general" / "paris_general_000001.jpg", view(100))
    write(folder / "paris" / "louvre" / "paris_louvre_000136.jpg", WEB_PAGE)
    with (folder / "paris_120310" / "louvre_1_ok.txt").open("a") as file:
        file.write("paris_louvre_000136\n")
    return folder


def ground_truth(folder: Path, landmark: str, stems: list[str], prefix: str = "") -> None:
    """Write the text files of five queries of a landmark that has seven photos."""
    for i in range(1, 6):
        files = {
            "query": f"{prefix}{stems[i - 1]} {BOX}\n",
            "good": "".join(f"{stem}\n" for stem in stems[:5]),
            "ok": f"{stems[5]}\n",
            "junk": f"{stems[6]}\n",
        }
        for kind, text in files.items():
            write(folder / f"{landmark}_{i}_{kind}.txt", text)


def flickr100k(root: Path) -> Path:
    """Make three photos in folders by topic; two photos have the same file name."""
    folder = root / "flickr100k"
    for number, name in enumerate(("airshow/000001", "airshow/000002", "zoo/000001")):
        write(folder / "oxc1_100k" / f"{name}.jpg", view(200 + number))
    return folder


def gnd() -> dict:
    """Return the ground truth of a revisited set: eight photos, three queries, one without hard ones."""
    box = [4.5, 2.0, 60.0, 46.25]
    return {
        "imlist": [f"all_souls_{i:06d}" for i in range(8)],
        "qimlist": ["all_souls_000100", "all_souls_000101", "oxford_000102"],
        "gnd": [
            {"bbx": box, "easy": [0, 1], "hard": [2], "junk": [3]},
            {"bbx": box, "easy": [4], "hard": [], "junk": []},
            {"bbx": box, "easy": [], "hard": [5, 6], "junk": []},
        ],
    }


def revisited(root: Path, name: str = "roxford5k", truth: object = None) -> Path:
    """Make a revisited set: photos in ``jpg``, and the pickle beside that folder."""
    folder, truth = root / name, gnd() if truth is None else truth
    for number, stem in enumerate((*gnd()["imlist"], *gnd()["qimlist"])):
        write(folder / "jpg" / f"{stem}.jpg", view(number // 3, number))
    write(folder / f"gnd_{name}.pkl", pickle.dumps(truth, protocol=2))
    return folder


def revisitop1m(root: Path) -> Path:
    """Make three distractor photos."""
    folder = root / "revisitop1m"
    for number, name in enumerate(("0a/a", "0a/b", "1/c")):
        write(folder / "jpg" / f"{name}.jpg", view(300 + number))
    return folder


def holidays(root: Path, *, listed: bool = True) -> Path:
    """Make two scenes of two and three photos, and one photo that is not listed."""
    folder = root / "holidays"
    names = ["100000.jpg", "100001.jpg", "100100.jpg", "100101.jpg", "100102.jpg"]
    for name in (*names, "100103.jpg"):
        write(folder / "jpg" / name, view(int(name[:4]), int(name[4:6])))
    if listed:
        write(folder / "holidays_images.dat", "".join(f"{name}\n" for name in names))
    return folder


def photo_id(number: int) -> str:
    """Return a photo name in the form of Google-Landmarks."""
    return f"{number:02x}23456789abcdef"


def google_v2(root: Path) -> Path:
    """Make four index photos of two landmarks, and five test photos: 1 public, 2 private, 2 ignored."""
    folder = root / "google_landmarks_v2"
    index, test = [photo_id(i) for i in range(4)], [photo_id(i) for i in range(16, 21)]
    for split, names in (("index", index), ("test", test)):
        for number, name in enumerate(names):
            path = folder / split / name[0] / name[1] / name[2] / f"{name}.jpg"
            write(path, view(number // 2, number))
    write(folder / "index.csv", csv("id", *index))
    labels = [f"{name},{number // 2}" for number, name in enumerate(index)]
    write(folder / "index_image_to_landmark.csv", csv("id,landmark_id", *labels))
    write(
        folder / "retrieval_solution_v2.1.csv",
        csv(
            "id,images,Usage",
            f"{test[0]},{index[0]} {index[1]},Public",
            f"{test[1]},None,Ignored",
            f"{test[2]},{index[2]},Private",
            f"{test[3]},{index[3]} {index[2]},Private",
            f"{test[4]},None,Private",
        ),
    )
    return folder


def google_v1(root: Path) -> Path:
    """Make five database photos, two of them without landmark; five queries, two with ground truth."""
    folder = root / "google_landmarks_v1"
    rows = {"train": (5, 5, 7, "None"), "test": (7, 5, "None", "", 9)}
    for split, landmarks in rows.items():
        start = 0 if split == "train" else 16
        lines = []
        for number, landmark in enumerate(landmarks, start=start):
            write(folder / split / f"{photo_id(number)}.jpg", view(number))
            lines.append(f'"{photo_id(number)}","http://example.org/{number}.jpg",{landmark}')
        write(folder / f"{split}.csv", csv('"id","url","landmark_id"', *lines))
    write(folder / "index" / f"{photo_id(32)}.jpg", view(32))
    write(folder / "index.csv", csv("id,url", f"{photo_id(32)},http://example.org/32.jpg"))
    return folder


def csv(*lines: str) -> str:
    """Return the text of a file with these lines."""
    return "".join(f"{line}\n" for line in lines)


def everything(root: Path) -> None:
    """Make every data set."""
    for make in (oxford5k, paris6k, flickr100k, revisitop1m, holidays, google_v1, google_v2):
        make(root)
    for name in ("roxford5k", "rparis6k"):
        revisited(root, name)
