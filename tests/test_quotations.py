"""What notebooks and studies put in quotation marks stands in the report, word for word."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pix2pix_color.experiments import studies

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).resolve().parent.parent
# The sentences that are quoted, in the report's order and spelling, one per line.
SENTENCES = Path(__file__).with_name("report_sentences.txt").read_text(encoding="utf-8")
# The model's words for itself, and terms of the field.
TERMS = ("non-saturating", "patch", "real")


def quotations(text: str) -> list[str]:
    """Returns the passages in double quotation marks, each cut at its "[...]"."""
    without_code = re.sub(r"`[^`]*`", "", text)
    quoted = re.findall(r'["“]([^"“”]+)["”]', without_code)
    parts = (part for passage in quoted for part in passage.split("[...]"))
    return [cleaned for part in parts if (cleaned := " ".join(part.split()).strip(" .,;:"))]


def prose(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def not_in_report(text: str) -> list[str]:
    report = " ".join(SENTENCES.split()).lower()
    return [q for q in quotations(text) if q.lower() not in report and q not in TERMS]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_quotes_the_report_literally(path):
    assert not not_in_report(prose(path))


def test_the_studies_quote_the_report_literally():
    tree = ast.parse(Path(studies.__file__).read_text(encoding="utf-8"))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    quoted = "\n".join(text for text in strings if isinstance(text, str) and '"' in text)
    assert len(quotations(quoted)) > 5
    assert not not_in_report(quoted)


def test_a_changed_quotation_is_found():
    assert not_in_report('The report searched "in local patches [...] of the whole image".') == [
        "of the whole image"
    ]
    assert not_in_report("It calls this “an extensive manual search”.") == [
        "an extensive manual search"
    ]
