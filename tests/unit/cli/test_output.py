"""What goes to stdout, and what to stderr."""

import json

import pytest

from evolving_ai.cli.output import note, note_dim, print_json, print_piece, print_table, print_text


def test_json_is_one_document_and_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, "é"]})

    assert json.loads(capsys.readouterr().out) == {"a": [1, "é"]}
    with pytest.raises(ValueError, match="Out of range"):
        print_json(float("nan"))


def test_a_table_that_is_piped_is_neither_cut_nor_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 200

    print_table(("name", "n"), [("a", 1), (long, 22)])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["a", "1"]
    assert lines[2].split() == [*long.split(), "22"]
    assert all(line == line.rstrip() for line in lines)


def test_markup_and_control_characters_are_shown_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("[bold]h[/]",), [("[red]\x1b[31m:smile:",)])
    print_text("\x1b]0;title\x07")

    assert capsys.readouterr().out == "[bold]h[/]\n[red]\\x1b[31m:smile:\n\\x1b]0;title\\x07\n"


def test_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    note("half way")

    assert capsys.readouterr() == ("", "half way\n")


def test_pieces_make_a_line_and_control_characters_in_them_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for piece in ("Good", " day\x1b[2J", "\n"):
        print_piece(piece)

    assert capsys.readouterr() == ("Good day\\x1b[2J\n", "")


def test_what_may_be_overlooked_is_plain_where_it_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    note_dim("0.000123 USD")

    assert capsys.readouterr() == ("", "0.000123 USD\n")
