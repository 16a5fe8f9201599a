"""A report as PDF: the same bytes for the same report, whoever makes it and when.

Dates and ids in the file are the block's, streams are not compressed (compressors differ), fonts
are the standard ones that every reader has. These know Western European letters: others are
printed as their Unicode number, and stand whole in the JSON form.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from cli.report_layout import HEAD, INNER, Field, Layout, Part, cell_text, fields_of, value_at

COLUMNS_MAX: Final = 14  # of a table; wider rows are printed one under the other
CELL_MAX: Final = 2_000  # characters of a cell; the JSON form has all
MARGIN: Final = 15 * mm
_WIDTH: Final = landscape(A4)[0] - 2 * MARGIN

_BODY: Final = ParagraphStyle("body", fontName="Helvetica", fontSize=8, leading=10)
_CELL: Final = ParagraphStyle("cell", parent=_BODY, fontSize=7, leading=8.5)
_HEAD: Final = ParagraphStyle("head", parent=_CELL, fontName="Helvetica-Bold")
_TITLE: Final = ParagraphStyle("title", parent=_HEAD, fontSize=15, leading=20)
_SECTION: Final = ParagraphStyle("section", parent=_HEAD, fontSize=10, leading=15, spaceBefore=8)
_GRID: Final = TableStyle(
    [
        ("GRID", (0, 0), (-1, -1), 0.25, colors.grey),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
)


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    if len(text) > CELL_MAX:
        text = f"{text[:CELL_MAX]} (cut; whole in the JSON form)"
    printable = text.encode("cp1252", "backslashreplace").decode("cp1252")
    return Paragraph(escape(printable).replace("\n", "<br/>"), style)


def _facts(row: Mapping[str, Any], fields: Sequence[Field]) -> LongTable:
    rows = []
    for one in fields:
        text = cell_text(value_at(row, one.path), one.form)
        rows.append([_paragraph(one.title, _HEAD), _paragraph(text or "none", _CELL)])
    table = LongTable(rows, colWidths=[50 * mm, _WIDTH - 50 * mm])
    table.setStyle(_GRID)
    return table


def _table(rows: Sequence[Mapping[str, Any]], fields: Sequence[Field]) -> LongTable:
    cells = [[_paragraph(one.title, _HEAD) for one in fields]]
    for row in rows:
        texts = [cell_text(value_at(row, one.path), one.form) for one in fields]
        cells.append([_paragraph(text, _CELL) for text in texts])
    table = LongTable(cells, colWidths=[_WIDTH / len(fields)] * len(fields), repeatRows=1)
    table.setStyle(_GRID)
    table.setStyle(TableStyle([("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke)]))
    return table


def _parts(answer: Mapping[str, Any], layout: Layout) -> Iterator[Flowable]:
    """The layout's parts, and behind them whatever the answer has beyond it."""
    for part in layout:
        yield from _part(answer, part)
    beyond = _beyond(answer, layout)
    if beyond:
        yield _paragraph("Further", _SECTION)
        yield _facts(beyond, [Field(name) for name in beyond])


def _beyond(answer: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    told = {part.path for part in layout} | INNER | HEAD
    told |= {field.path for part in layout if not part.path for field in part.fields}
    return {name: value for name, value in answer.items() if name not in told}


def _part(answer: Mapping[str, Any], part: Part) -> Iterator[Flowable]:
    found = value_at(answer, part.path)
    fields = [one for one in part.fields if one.path in answer]
    if not (part.path in answer or (not part.path and fields)):
        return  # not of this contract's release
    yield _paragraph(part.title, _SECTION)
    if not part.path:
        yield _facts(answer, fields)
    elif isinstance(found, Mapping):
        yield _facts(found, fields_of(part, [found]))
    elif isinstance(found, list) and found and all(isinstance(one, Mapping) for one in found):
        yield from _rows(found, part)
    else:
        yield _paragraph(cell_text(found) or "none", _BODY)


def _rows(found: Sequence[Mapping[str, Any]], part: Part) -> Iterator[Flowable]:
    rows = sorted(found, key=lambda row: [str(value_at(row, one) or "") for one in part.sort])
    fields = fields_of(part, rows)
    if len(fields) <= COLUMNS_MAX and not part.parts:
        yield _table(rows, fields)
        return
    for number, row in enumerate(rows, 1):
        yield _paragraph(f"{part.title}: {value_at(row, 'number') or number}", _HEAD)
        yield _facts(row, fields)
        for one in part.parts:
            yield from _part(row, one)
        yield Spacer(1, 3 * mm)


def make_pdf(
    title: str,
    facts: Mapping[str, Any],
    answer: Mapping[str, Any],
    layout: Layout,
    names: Mapping[str, str],
) -> bytes:
    """The document. ``facts`` has ``time_ms`` and ``block``: they are the file's date and id.
    ``names`` are those of the organisations whose ids are in the answer."""
    shown = [Field(name) for name in facts if name != "time_ms"]
    story: list[Flowable] = [_paragraph(title, _TITLE), _facts(facts, shown), Spacer(1, 4 * mm)]
    story += _parts(answer, layout)
    if names:
        story.append(_paragraph("Organisations", _SECTION))
        rows = [{"id": id_, "name": name} for id_, name in names.items()]
        story.append(_table(rows, [Field("id"), Field("name")]))
    seconds = facts["time_ms"] // 1000
    foot = f"{title}, block {facts['height']}, {facts['block']}"

    def at_block(*args: Any, **named: Any) -> Canvas:
        canvas = Canvas(*args, **{**named, "invariant": 1, "pageCompression": 0})
        stamp = canvas._doc._timeStamp  # invariant alone dates every file to the year 2000
        stamp.t, stamp.lt = seconds, time.gmtime(seconds)
        stamp.YMDhms, stamp.dhh, stamp.dmm, stamp.tzname = tuple(stamp.lt)[:6], 0, 0, "UTC"
        # What the file's id is made of.
        canvas._doc.signature = hashlib.md5(facts["block"].encode(), usedforsecurity=False)
        return canvas

    def footer(canvas: Canvas, document: SimpleDocTemplate) -> None:
        canvas.setFont("Helvetica", 6)
        canvas.drawString(MARGIN, 8 * mm, f"{foot}   page {document.page}")

    made = io.BytesIO()
    document = SimpleDocTemplate(
        made,
        pagesize=landscape(A4),
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=title,
        author=f"chain {facts['chain_id']}",
        subject=f"block {facts['block']}",
        creator="hansa report",
    )
    document.build(story, onFirstPage=footer, onLaterPages=footer, canvasmaker=at_block)
    return made.getvalue()
