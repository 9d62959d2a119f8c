"""Extraction of a folder: broken photos, interrupted runs, and which photos the PCA is learned from."""

from dataclasses import replace
from shutil import copyfile, copytree

import numpy as np
import pytest
from worlds import SMALL, draw, extractor, flat, network, save

from delfjax.features.extract_folder import PCAConfig, extract_folder
from delfjax.features.extraction import Extractor
from delfjax.features.pca import PCA
from delfjax.features.store import FeatureStore
from delfjax.files import StoreError
from delfjax.images.folder import scan
from delfjax.images.reading import PhotoError

FEW = PCAConfig(dimensions=8, photos=3, features=30)


def extract(photos, path, **options):
    return extract_folder(extractor(), photos, path, **{"config": FEW} | options)


def contents(store: FeatureStore) -> dict[str, bytes]:
    """Return everything in a store but the sources of photos."""
    pca = store.pca
    data = {"reduction": b"".join(a.tobytes() for a in (pca.mean, pca.components, pca.variances))}
    for name in FeatureStore(store.path).names:
        *arrays, image_size = vars(store.read(name)).values()
        data[name] = b"".join(array.tobytes() for array in (*arrays, np.array(image_size)))
    return data


def test_a_folder_becomes_a_store(tmp_path):
    photos = flat(tmp_path / "photos", 5)
    save(photos.root / "class" / "5.png", draw(5, (64, 48)))
    photos = scan(photos.root)
    store = extract(photos, tmp_path / "store")
    report = store.report
    assert tuple(store.names) == photos.names
    assert sorted(report.extracted) == store.names
    assert (report.kept, report.failed) == ([], {})
    for name in photos.names:
        features = store.read(name)
        assert features.descriptors.shape == (SMALL.max_features, 8)
        np.testing.assert_allclose(np.linalg.norm(features.descriptors, axis=1), 1, atol=1e-3)
    features = extractor()(draw(4))
    np.testing.assert_array_equal(store.read("4.png").positions, features.positions)
    reduced = store.pca(features.descriptors)
    np.testing.assert_allclose(store.read("4.png").descriptors, reduced, atol=2e-3)


def test_the_same_seed_gives_the_same_store(tmp_path):
    photos = flat(tmp_path / "photos", 5)
    first, again, other = (
        contents(extract(photos, tmp_path / str(n), config=replace(FEW, seed=seed)))
        for n, seed in enumerate((0, 0, 1))
    )
    assert first == again
    assert first["reduction"] != other["reduction"]


def test_broken_photos_are_reported_and_the_others_extracted(tmp_path):
    photos = flat(tmp_path / "photos", 4)
    (photos.root / "1.png").write_text("no photo")
    (photos.root / "5.png").write_bytes((photos.root / "2.png").read_bytes()[:200])
    photos = scan(photos.root)
    # In the first run the PCA uses all 5 photos, so broken ones must be replaced.
    for path, config in (("all", replace(FEW, photos=5)), ("some", replace(FEW, photos=1))):
        store = extract(photos, tmp_path / path, config=config)
        report = store.report
        assert store.names == ["0.png", "2.png", "3.png"]
        assert sorted(report.failed) == ["1.png", "5.png"]
        assert sorted(report.extracted) == store.names
        assert "is not an image" in str(report.failed["1.png"])
    save(photos.root / "1.png", draw(1))  # repaired: only this photo is new
    store = extract(photos, tmp_path / "some", config=config)
    report = store.report
    assert report.extracted == ["1.png"]
    assert report.kept == ["0.png", "2.png", "3.png"]
    assert list(report.failed) == ["5.png"]


def test_a_folder_of_broken_photos_raises(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_text("no photo")
    with pytest.raises(PhotoError, match=r"a\.jpg is not an image"):
        extract(scan(tmp_path / "photos"), tmp_path / "store")
    assert FeatureStore(tmp_path / "store").names == []


@pytest.mark.parametrize("after", [1, 3, 5])
def test_an_interrupted_run_continues(tmp_path, monkeypatch, after):
    """No photo is extracted twice, and the features are those of a run without interruption.

    The first three photos are extracted for the PCA.
    """
    photos = flat(tmp_path / "photos", 6)
    expected = extract(photos, tmp_path / "complete")
    write, written = FeatureStore.write, []

    def stop(store, name, features, *, source):
        if len(written) == after:
            raise KeyboardInterrupt
        write(store, name, features, source=source)
        written.append(name)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            extract(photos, tmp_path / "store")
    launch, launched = Extractor._launch, []
    monkeypatch.setattr(
        Extractor, "_launch", lambda *arguments: launched.append(0) or launch(*arguments)
    )
    assert sorted(FeatureStore(tmp_path / "store").names) == sorted(written)
    store = extract(photos, tmp_path / "store")
    report = store.report
    assert (len(report.kept), len(report.extracted)) == (after, 6 - after)
    assert len(launched) == 6 - after
    assert sorted([*report.kept, *report.extracted]) == expected.names
    assert contents(store) == contents(expected)


def test_a_run_interrupted_while_the_pca_is_learned_continues(tmp_path, monkeypatch):
    photos = flat(tmp_path / "photos", 6)
    expected = contents(extract(photos, tmp_path / "complete"))
    with monkeypatch.context() as patch:
        patch.setattr(PCA, "fit", None)
        with pytest.raises(TypeError):
            extract(photos, tmp_path / "store")
    sample = FeatureStore(tmp_path / "store")
    assert (len(sample), sample.pca) == (3, None)
    assert sample.dimensions > FEW.dimensions
    assert contents(extract(photos, tmp_path / "store")) == expected


def test_a_changed_photo_is_extracted_again(tmp_path):
    photos = flat(tmp_path / "photos", 4)
    before = contents(extract(photos, tmp_path / "store"))
    (photos.root / "0.png").touch()  # another time, the same content
    save(photos.root / "1.png", draw(9))
    (photos.root / "2.png").write_text("no photo any more")
    store = extract(photos, tmp_path / "store")
    report = store.report
    assert (report.kept, report.changed, report.extracted) == (
        ["0.png", "3.png"],
        ["1.png"],
        ["1.png"],
    )
    assert list(report.failed) == ["2.png"]
    assert store.names == ["0.png", "1.png", "3.png"]
    after = contents(store)
    assert {name for name in after if after[name] != before[name]} == {"1.png"}
    features = extractor()(draw(9))
    np.testing.assert_array_equal(store.read("1.png").positions, features.positions)


def test_photos_of_another_folder_with_the_same_names_are_refused(tmp_path):
    photos = flat(tmp_path / "photos", 3)
    before = contents(extract(photos, tmp_path / "store"))
    for number in range(2, 5):
        save(tmp_path / "others" / f"{number}.png", draw(10 + number))
    copied = copytree(photos.root, tmp_path / "copies")
    assert len(extract(scan(copied), tmp_path / "store").report.kept) == 3
    with pytest.raises(
        StoreError, match=r"holds the photo '2\.png' of the folder .*copies.* another store"
    ):
        extract(scan(tmp_path / "others"), tmp_path / "store")
    assert contents(FeatureStore(tmp_path / "store")) == before
    copied.rename(tmp_path / "away")  # the last folder is gone: the photo has changed
    store = extract(scan(tmp_path / "others"), tmp_path / "store")
    assert store.report.changed == ["2.png"]
    assert store.source("2.png").folder == str((tmp_path / "others").resolve())


def test_photos_on_an_absent_disk_keep_their_features(tmp_path):
    disk = flat(tmp_path / "disk", 3).root
    (tmp_path / "photos").mkdir()
    for path in disk.iterdir():
        (tmp_path / "photos" / path.name).symlink_to(path)
    photos = scan(tmp_path / "photos")
    before = contents(extract(photos, tmp_path / "store"))
    disk.rename(tmp_path / "absent")
    store = extract(scan(tmp_path / "photos"), tmp_path / "store")
    assert len(store.report.kept) == 3
    assert contents(store) == before


@pytest.mark.parametrize(("change", "more"), [("rename", 0), ("copy", 1)])
def test_moved_photos_are_recorded_once(tmp_path, monkeypatch, change, more):
    """A renamed folder, or a copy with new times. ``more``: number of new photos in the folder."""
    before = contents(extract(flat(tmp_path / "photos", 3), tmp_path / "store"))
    if change == "rename":
        (tmp_path / "photos").rename(tmp_path / "new")
    else:
        copytree(tmp_path / "photos", tmp_path / "new", copy_function=copyfile)
    for number in range(3, 3 + more):
        save(tmp_path / "new" / f"{number}.png", draw(number))
    photos = scan(tmp_path / "new")
    store = extract(photos, tmp_path / "store")
    assert len(store.report.kept) == 3
    assert more or contents(store) == before
    for name in photos.names:
        assert store.source(name) == photos.source(name)
    monkeypatch.setattr("delfjax.images.folder.sha256", None)  # no content is read again
    assert len(extract(photos, tmp_path / "store").report.kept) == 3 + more


def test_a_store_that_another_process_writes_is_refused_before_extraction(tmp_path, monkeypatch):
    photos = flat(tmp_path / "photos", 3)
    store = extract(photos, tmp_path / "store")
    save(photos.root / "3.png", draw(3))
    more = scan(photos.root)
    monkeypatch.setattr(Extractor, "_launch", None)
    with FeatureStore(store.path):
        with pytest.raises(StoreError, match="held by another process"):
            extract(more, store.path)
        assert len(extract(photos, store.path).report.kept) == 3, "a complete store is only read"


def test_the_pca_never_sees_a_query(tmp_path, monkeypatch):
    """The PCA depends on the database photos but not on the query photos."""
    fit, counts = PCA.fit, []

    def fit_and_count(descriptors, **options):
        counts.append(len(descriptors))
        return fit(descriptors, **options)

    monkeypatch.setattr(PCA, "fit", fit_and_count)

    def extract_with(path, queries, database):
        for n in range(3):
            save(path / f"query_{n}.png", draw(queries + n))
            save(path / f"base_{n}.png", draw(database + n))
        config = replace(FEW, photos=9, database="base_*")
        return extract(scan(path), path / ".store", config=config)

    one, two, three = (
        extract_with(tmp_path / str(n), *seeds)
        for n, seeds in enumerate([(0, 50), (10, 50), (0, 60)])
    )
    assert (
        one.names
        == two.names
        == [*(f"base_{n}.png" for n in range(3)), *map("query_{}.png".format, range(3))]
    )
    np.testing.assert_array_equal(one.pca.components, two.pca.components)
    assert not np.array_equal(one.pca.components, three.pca.components)
    assert counts == [3 * FEW.features] * 3


def test_the_pca_learns_from_the_features_with_the_highest_scores(tmp_path, monkeypatch):
    fit, learned = PCA.fit, []

    def fit_and_record(descriptors, **options):
        learned.append(descriptors)
        return fit(descriptors, **options)

    monkeypatch.setattr(PCA, "fit", fit_and_record)
    photos = flat(tmp_path / "photos", 1)
    best = extractor()(draw(0)).descriptors[: FEW.features].astype(np.float16)
    for sample in ("best", "random"):
        extract(photos, tmp_path / sample, config=replace(FEW, sample=sample))
    np.testing.assert_array_equal(learned[0], best)
    assert learned[1].shape == best.shape
    assert not np.array_equal(learned[1], best)


@pytest.mark.parametrize(
    ("other", "config", "key"),
    [
        (extractor, replace(FEW, dimensions=9), "reduction"),
        (lambda: extractor(replace(SMALL, max_features=59)), FEW, "extraction"),
        (lambda: Extractor(network(1), config=SMALL), FEW, "model"),
    ],
)
def test_other_settings_are_refused(tmp_path, other, config, key):
    photos = flat(tmp_path / "photos", 3)
    extract(photos, tmp_path / "store")
    with pytest.raises(
        StoreError, match=f"made with {key} = .* was requested. Fix: use another folder"
    ):
        extract_folder(other(), photos, tmp_path / "store", config=config)


def test_a_pattern_that_matches_no_photo_raises(tmp_path):
    save(tmp_path / "photos" / "0.png", draw(0))
    config = replace(FEW, database="train_*")
    with pytest.raises(ValueError, match="no file name matches 'train_"):
        extract(scan(tmp_path / "photos"), tmp_path / "store", config=config)
