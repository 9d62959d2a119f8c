"""Table 1 beside our results, in three formats, and the list of all results."""

import re
from html.parser import HTMLParser

import pytest

from delfjax.files import StoreError
from delfjax.paper import values
from delfjax.paper.tables import (
    DASH,
    Table,
    all_results,
    compare_table1,
    update_page,
)
from delfjax.provenance import read_result, write_result

PAPER = values.table1()
EACH = [40.0, 60.0, None, 80.0]
LANDMARKS = [0, 1, 2, 2]
WIDTH = 4.303 * (400 / 3) ** 0.5  # half of the t interval of 40, 60 and 80: 49.7


def keep(path, benchmark="rendered", gain=0.0, **changes):
    found = [None if value is None else value + gain for value in EACH]
    result = {
        "value": 60.0 + gain,
        "interval": [45.0 + gain, 75.0 + gain],
        "what": f"mAP, {benchmark}",
        "benchmark": benchmark,
        "protocol": "standard",
        "queries": 4,
        "landmarks": LANDMARKS,
        "average_precision": found,
    }
    write_result(path, result | changes)
    return path


@pytest.fixture
def table(tmp_path) -> Table:
    ours = {
        "DELF+FT+ATT": [
            keep(tmp_path / "ft_att.json", "rendered+places"),
            keep(tmp_path / "ox.json", "oxford5k", 20),
        ],
        "RootSIFT": [keep(tmp_path / "rootsift.json", "rendered+places", -20)],
    }
    return compare_table1(PAPER, ours)


def row(table, method):
    (found,) = [row for row in table.rows if row[0] == method]
    return dict(zip(table.header, found, strict=True))


def test_the_papers_values_are_shown_unchanged(table):
    column = table.header.index("method (paper)")
    shown = {line[column]: line[column + 1 :] for line in table.rows if line[column] != DASH}
    assert {*shown} == {*PAPER.rows}
    for method, scores in PAPER.rows.items():
        expected = (DASH if value is None else f"{value:.1f}" for value in scores.values())
        assert shown[method] == tuple(expected)


def test_our_values_have_an_interval(table):
    found = row(table, "DELF+FT+ATT")
    value, low, high = re.findall(r"[\d.]+", found["mAP, rendered+places"])
    assert float(value) == 60
    assert (float(low), float(high)) == pytest.approx((60 - WIDTH, 100), abs=3)  # at most 100
    assert found["method (paper)"] == "DELF+FT+ATT"
    assert found["mAP, Oxf5k"] == "83.8"


def test_a_benchmark_of_the_paper_has_two_columns(table):
    first, second = (n for n, title in enumerate(table.header) if title == "mAP, Oxf5k")
    line = next(line for line in table.rows if line[0] == "DELF+FT+ATT")
    assert line[first].startswith("80.0 [")
    assert line[second] == "83.8"


def test_the_summary_has_one_row_per_method_of_ours(tmp_path):
    large = keep(tmp_path / "large.json", "rendered_large", -5)
    ours = {
        "DELF+FT+ATT": [
            keep(tmp_path / "ft_att.json", "rendered+places"),
            large,
            keep(tmp_path / "ox.json", "oxford5k"),
        ],
        "RootSIFT": [keep(tmp_path / "sift.json")],
        "DELF-noFT": [],
    }
    found = compare_table1(PAPER, ours, summary=True)
    ours, theirs = found.header[:3], found.header[3:]
    assert ours == ("method (ours)", "mAP, rendered+places", "mAP, rendered_large")
    assert theirs == ("method (paper)", "mAP, Oxf5k", "mAP, Par6k")
    first, *others = found.rows
    assert first[0] == first[3] == "DELF+FT+ATT"
    assert first[1].startswith("60.0 [")
    assert first[2].startswith("55.0 [")
    assert first[4:] == ("83.8", "85.0")
    assert others == [
        ("RootSIFT", DASH, DASH, "CONGAS", "70.8", "67.1"),
        ("DELF-noFT", *[DASH] * 5),
    ]
    assert not found.notes


def test_a_missing_number_is_a_dash(table):
    (line,) = (line for line in table.rows if line[0] == "RootSIFT")
    assert line[1:5] == (DASH, "40.0 [0.0, 90.2]", DASH, "CONGAS")
    others = [line for line in table.rows if line[0] == DASH]
    assert {cell for line in others for cell in line[:4]} == {DASH}
    empty = compare_table1(PAPER, {})
    assert len(empty.rows) == len(PAPER.rows)


def test_map_by_view_has_a_column_of_its_own(tmp_path):
    path = keep(tmp_path / "a.json", "rendered_large", other_protocols={"view": 65.74})
    found = row(compare_table1(PAPER, {"ours": [path]}), "ours")
    assert found["mAP, rendered_large, by view"] == "65.7"


def test_text_is_aligned(table):
    header, rule, *lines = table.text().split("\n\n")[0].splitlines()
    assert len(lines) == len(table.rows)
    starts = [header.index(title) for title in table.header]
    assert all(line[start - 1] == " " for line in (rule, *lines) for start in starts[1:5])
    assert table.notes[0] in table.text()


def test_every_row_of_markdown_has_all_cells(table):
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    assert {line.count(" | ") for line in lines} == {len(table.header) - 1}
    assert "DIR+QE\\*" in table.markdown()


def test_every_result_has_a_row(tmp_path):
    write_result(tmp_path / "b_ox.json", {"value": 83.25, "interval": [80, 86], "what": "mAP"})
    write_result(tmp_path / "a.json", {"value": 7, "what": "ms a query"})
    found = all_results(tmp_path)
    assert found.text().splitlines() == [
        "result  value  95% interval  what",
        "------  -----  ------------  ----------",
        "a       7                    ms a query",
        "b_ox    83.25  [80, 86]      mAP",
    ]


def test_html_is_escaped_and_complete():
    class Counter(HTMLParser):
        def __init__(self):
            super().__init__()
            self.tags = []

        def handle_starttag(self, tag, attrs):
            self.tags.append(tag)

    page = Table(header=("<b>", "x"), rows=(("a & b", "1"),), notes=("<i>",))._repr_html_()
    counter = Counter()
    counter.feed(page)
    assert "b" not in counter.tags
    assert "i" not in counter.tags
    assert (counter.tags.count("tr"), counter.tags.count("td")) == (2, 1)


def test_a_file_without_map_is_an_error(tmp_path):
    write_result(tmp_path / "bench.json", {"value": 1, "what": "seconds"})
    with pytest.raises(
        ValueError, match=r"bench.json: this file has no mAP .* Fix: remove the file, and run"
    ):
        compare_table1(PAPER, {"ours": [tmp_path / "bench.json"]})


def test_results_that_are_no_headline_are_shown_on_request(tmp_path):
    for name, headline in {
        "bench": {},
        "row": {"headline": True},
        "sweep": {"headline": False},
    }.items():
        write_result(tmp_path / f"{name}.json", {"value": 1, "what": name} | headline)
    write_result(tmp_path / "curve.json", {"points": [1, 2]})  # no single value: no row
    (tmp_path / "notes.txt").write_text("not a result")
    assert [row[0] for row in all_results(tmp_path).rows] == ["bench", "row"]
    assert [row[0] for row in all_results(tmp_path, headline=False).rows] == [
        "bench",
        "row",
        "sweep",
    ]


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no results\. Fix: run `make reproduce`"):
        all_results(tmp_path / "nowhere")


def test_the_summary_is_put_between_the_marks_of_a_page(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    keep(tmp_path / "rendered+places_ft_att.json", "rendered+places")
    for _ in range(2):
        update_page(page, tmp_path)
        before, table, after = page.read_text().partition("| DELF+FT+ATT | 60.0 [")
        assert before.startswith(
            "before\n<!-- results -->\n\n| method (ours) | mAP, rendered+places |"
        )
        assert table
        assert after.endswith("\n\n<!-- /results -->\nafter\n")


def test_a_result_may_lack_its_description(tmp_path):
    keep(tmp_path / "rendered+places_ft_att.json", "rendered+places", what="")
    result = read_result(tmp_path / "rendered+places_ft_att.json")
    del result["what"]
    write_result(tmp_path / "rendered+places_ft_att.json", result)
    page = tmp_path / "README.md"
    page.write_text("<!-- results -->\n<!-- /results -->\n")
    update_page(page, tmp_path)
    assert "60.0 [" in page.read_text()


@pytest.mark.parametrize("interval", [["1", "2"], [1], [1, 2, 3], [None, 2], 3])
def test_an_interval_is_two_numbers(tmp_path, interval):
    path = keep(tmp_path / "rendered+places_ft_att.json", interval=interval)
    with pytest.raises(ValueError, match=r"ft_att\.json: damaged; expected a result"):
        read_result(path)


def test_a_page_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "page.md").write_bytes(b"caf\xe9 <!-- results --> <!-- /results -->")
    with pytest.raises(StoreError, match=r"page\.md: damaged; expected a page in UTF-8"):
        update_page(tmp_path / "page.md", tmp_path)


@pytest.mark.parametrize("text", ["none", "<!-- /results --> <!-- results -->"])
def test_a_page_without_marks_is_left_unchanged(tmp_path, text):
    page = tmp_path / "README.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="expected one <!-- results -->"):
        update_page(page, tmp_path)
    assert page.read_text() == text
