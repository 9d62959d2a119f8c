"""Results: kept whole, as JSON that every reader takes, and laid out in one table."""

import json

import pytest

from delfjax import provenance
from delfjax.paper import tables
from delfjax.search.searcher import SearchConfig


def strict(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


# --- kept


def test_results_are_read_back(tmp_path):
    path = tmp_path / "new" / "folder" / "result.json"
    result = {"value": 1.5, "what": "façade", "config": {"scales": [0.5, 1.0]}}
    provenance.write(path, result)
    assert provenance.read(path) == result
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text(encoding="utf-8").endswith("}\n")


def test_equal_results_are_equal_files(tmp_path):
    provenance.write(tmp_path / "one", {"a": 1, "b": 2})
    provenance.write(tmp_path / "two", {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("bad", [{"value": float("nan")}, {"value": object()}])
def test_what_cannot_be_written_leaves_the_old_result(tmp_path, bad):
    path = tmp_path / "result.json"
    provenance.write(path, {"value": 1})
    with pytest.raises((ValueError, TypeError), match="JSON"):
        provenance.write(path, bad)
    assert provenance.read(path) == {"value": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_cut_short_leaves_the_old_result(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    provenance.write(path, {"value": 1})

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            provenance.write(path, {"value": 2})
    assert provenance.read(path) == {"value": 1}
    assert len(tables.rows(tmp_path)) == 1  # what is left over is no row


def test_no_limit_is_null(tmp_path):
    """JSON knows no infinity, which is the default of one setting."""
    provenance.write(tmp_path / "result.json", provenance.circumstances(SearchConfig()))
    text = (tmp_path / "result.json").read_text()
    found = json.loads(text, parse_constant=strict)
    assert found["config"]["max_distance"] is None
    assert found["config"]["neighbors"] == SearchConfig().neighbors


def test_a_list_of_plain_values_stands_on_one_line():
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


def test_circumstances_name_versions_and_hardware():
    found = provenance.circumstances({"seed": 0})
    assert found["config"] == {"seed": 0}
    assert set(found["versions"]) == {"delfjax", "jax", "numpy", "python"}
    assert found["hardware"]


# --- laid out


def test_the_table_has_a_row_a_result(tmp_path):
    provenance.write(
        tmp_path / "retrieval.json", {"value": 83.25, "interval": [80.1, 86.0], "what": "mAP"}
    )
    provenance.write(tmp_path / "bench.json", {"value": 7, "what": "ms a query"})
    provenance.write(tmp_path / "curve.json", {"points": [1, 2]})  # no single value: no row
    (tmp_path / "notes.txt").write_text("not a result")
    assert tables.rows(tmp_path) == [
        ("bench", "7", "", "ms a query"),
        ("retrieval", "83.25", "[80.1, 86.0]", "mAP"),
    ]


def test_an_empty_table_is_an_error(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match="no results yet; run `make reproduce`"):
            tables.rows(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"7", b"\xff\xfe"])
def test_what_is_no_result_is_named(tmp_path, content):
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.json: not a result file .*; run `make reproduce`"):
        tables.rows(tmp_path)


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json: not a result file \(.*No such file"):
        provenance.read(tmp_path / "none.json")


def test_a_table_is_put_between_the_marks_of_a_page(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    for shown in ("first", "second"):
        tables.show_in(page, shown, tmp_path)
    expected = "before\n<!-- results -->\n\nsecond\n\n<!-- /results -->\nafter\n"
    assert page.read_text() == expected


@pytest.mark.parametrize("text", ["none", "<!-- /results --> <!-- results -->"])
def test_a_page_without_marks_is_left_alone(tmp_path, text):
    page = tmp_path / "README.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="expected one <!-- results -->"):
        tables.show_in(page, "table", tmp_path)
    assert page.read_text() == text


MARKED = "worth <!-- value .1f: run/shares/norm -->{}<!-- /value --> of <!-- value .0f: run - other -->{}<!-- /value -->"


def test_values_are_written_where_a_text_marks_them(tmp_path):
    provenance.write(tmp_path / "run.json", {"value": 79.25, "shares": {"norm": 26.04}})
    provenance.write(tmp_path / "other.json", {"value": 54})
    assert tables.with_values(MARKED.format("old", ""), tmp_path) == MARKED.format("26.0", "25")
    page = tmp_path / "README.md"
    page.write_text(f"{MARKED}<!-- results --><!-- /results -->")
    tables.show_in(page, "table", tmp_path)
    assert page.read_text().startswith(MARKED.format("26.0", "25"))


@pytest.mark.parametrize("name", ["run/lacking", "run/what", "run/value/deeper"])
def test_a_mark_that_names_no_number_is_an_error(tmp_path, name):
    provenance.write(tmp_path / "run.json", {"value": 1, "what": "mAP"})
    with pytest.raises(ValueError, match=rf"run\.json: no number for the mark '{name}'"):
        tables.with_values(f"<!-- value .0f: {name} -->1<!-- /value -->", tmp_path)


def test_results_that_are_no_headline_are_shown_only_when_asked_for(tmp_path):
    for name, headline in {
        "bench": {},
        "row": {"headline": True},
        "sweep": {"headline": False},
    }.items():
        provenance.write(tmp_path / f"{name}.json", {"value": 1, "what": name} | headline)
    names = {
        every: [name for name, *_ in tables.rows(tmp_path, every=every)] for every in (False, True)
    }
    assert names == {False: ["bench", "row"], True: ["bench", "row", "sweep"]}
