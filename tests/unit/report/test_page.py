"""Pages escape what they show."""

from pathlib import Path

from videolatent_cli.report.page import Card, Cards, Code, Heading, Picture, Table, Text, write_page


def test_pages_escape_what_they_show(tmp_path: Path) -> None:
    blocks = [
        Heading("<b>"),
        Text("a & b", note=True),
        Code("x: <y>"),
        Table(("<i>",), [["alarm"], ["<script>"]]),
        Picture(b"\x89PNG", 'say "hi"'),
    ]
    write_page(tmp_path / "new" / "p.html", "T<", blocks)
    html = (tmp_path / "new" / "p.html").read_text()
    for raw in ("<b>", "<script>", "<i>", "<y>"):
        assert raw not in html
    assert "a &amp; b" in html
    assert '<td class="alarm">alarm</td>' in html
    assert 'src="data:image/png;base64,iVBORw=="' in html
    assert "http" not in html


def test_cards_are_escaped_too_and_bring_the_one_script_of_the_page(tmp_path: Path) -> None:
    cards = Cards([Card("<b>", ["<script>alert(1)</script>"], Picture(b"\x89PNG", "<i>"), '"><u>')])
    write_page(tmp_path / "p.html", "T", [cards, cards])
    html = (tmp_path / "p.html").read_text()
    assert html.count("<script>") == 1
    for raw in ("<b>", "alert(1)<", "<i>", "<u>"):
        assert raw not in html
