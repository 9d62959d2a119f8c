"""Results on disk: complete files of standard JSON, read back with their configuration."""

import json

import pytest

from delfjax import provenance
from delfjax.search.searcher import SearchConfig


def strict(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_results_are_read_back(tmp_path):
    path = tmp_path / "new" / "folder" / "result.json"
    result = {"value": 1.5, "what": "façade", "config": {"scales": [0.5, 1.0]}}
    provenance.write_result(path, result)
    assert provenance.read_result(path) == result
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text(encoding="utf-8").endswith("}\n")


def test_equal_results_are_equal_files(tmp_path):
    provenance.write_result(tmp_path / "one", {"a": 1, "b": 2})
    provenance.write_result(tmp_path / "two", {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("bad", [{"value": float("nan")}, {"value": object()}])
def test_a_value_that_json_lacks_leaves_the_old_result(tmp_path, bad):
    path = tmp_path / "result.json"
    provenance.write_result(path, {"value": 1})
    with pytest.raises((ValueError, TypeError), match="JSON"):
        provenance.write_result(path, bad)
    assert provenance.read_result(path) == {"value": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_result(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    provenance.write_result(path, {"value": 1})

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            provenance.write_result(path, {"value": 2})
    assert provenance.read_result(path) == {"value": 1}


def test_infinity_becomes_null(tmp_path):
    provenance.write_result(tmp_path / "result.json", provenance.describe(SearchConfig()))
    text = (tmp_path / "result.json").read_text()
    found = json.loads(text, parse_constant=strict)
    assert found["config"]["max_distance"] is None
    assert found["config"]["neighbors"] == SearchConfig().neighbors


def test_a_list_of_plain_values_takes_one_line():
    result = {"each": [1.5, None, "a, [b]"], "deep": [[1, 2], []], "rows": [{"x": 1}]}
    text = provenance.to_json(result)
    assert json.loads(text) == result
    plain = provenance.to_json({"each": [1.5, None, "a"], "deep": [[1, 2], []]})
    assert plain.splitlines()[1:-1] == [
        '  "deep": [',
        "    [1, 2],",
        "    []",
        "  ],",
        '  "each": [1.5, null, "a"]',
    ]


def test_versions_and_hardware_are_kept():
    found = provenance.describe({"seed": 0})
    assert found["config"] == {"seed": 0}
    assert set(found["versions"]) == {"delfjax", "jax", "numpy", "python"}
    assert found["hardware"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"7", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_result_is_named(tmp_path, content):
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"odd\.json: damaged; expected a result .* Fix: run `make reproduce`"
    ):
        provenance.read_result(tmp_path / "odd.json")


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json: no such file"):
        provenance.read_result(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "written"),
    [
        ({}, False),
        ({"seconds": 9, "versions": {"jax": "9"}}, False),
        ({"value": 80.5}, False),  # another CPU rounds differently
        ({"value": 90}, True),
        ({"what": "another"}, True),
        ({"list": [1, 2, 3]}, True),
        ({"new": 1}, True),
    ],
)
def test_a_result_is_written_again_only_if_it_changed(tmp_path, change, written):
    path = tmp_path / "result.json"
    result = {"value": 80, "what": "mAP", "list": [1, 2], "seconds": 5}
    provenance.update_result(path, result)
    before = path.read_bytes()
    provenance.update_result(path, result | change)
    assert (path.read_bytes() != before) == written


@pytest.mark.parametrize(
    "wrong", [{"what": 3}, {"value": None}, {"value": True}, {"benchmark": []}, {"interval": [1]}]
)
def test_a_result_with_values_of_other_types_is_refused(tmp_path, wrong):
    (tmp_path / "odd.json").write_text(json.dumps({"value": 1.5, "what": "mAP"} | wrong))
    with pytest.raises(ValueError, match=r"odd\.json: damaged; expected a result"):
        provenance.read_result(tmp_path / "odd.json")
