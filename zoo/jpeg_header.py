"""What a JPEG stream declares, read without decoding it (ITU T.81, annex B), so that limits come first."""

from __future__ import annotations

from dataclasses import dataclass

START, END, SCAN = 0xD8, 0xD9, 0xDA
# Start-of-frame markers; C4, C8 and CC between them mean other things.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, without a length.
ALONE = frozenset({0x01, *range(0xD0, 0xD8), START})
# A progressive picture needs about ten scans; each one more costs a pass over the whole picture.
MAXIMUM_SCANS = 500


@dataclass(frozen=True)
class Frame:
    """`bits` per sample; `components` are 1 for grey, 3 for colour, 4 for CMYK."""

    width: int
    height: int
    bits: int
    components: int


def read_frame(data: bytes) -> Frame | None:
    """The frame header of a JPEG stream; None when it has none, or more scans than any picture needs."""
    if data.count(b"\xff\xda") > MAXIMUM_SCANS:
        return None
    at = 0
    while (at := data.find(b"\xff", at)) >= 0:
        while data[at : at + 1] == b"\xff":
            at += 1
        if at >= len(data):
            return None
        marker = data[at]
        at += 1
        if marker == 0 or marker in ALONE:
            continue
        if marker in (SCAN, END):
            return None
        if marker in FRAMES:
            return _frame(data[at : at + 8])
        at += int.from_bytes(data[at : at + 2], "big")
    return None


def _frame(header: bytes) -> Frame | None:
    if len(header) < 8:
        return None
    height, width = int.from_bytes(header[3:5], "big"), int.from_bytes(header[5:7], "big")
    return Frame(width, height, header[2], header[7])
