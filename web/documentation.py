"""The documentation in docs/*.md and model cards, rendered from Markdown; raw HTML in them stays text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from web.errors import NotFound

FOLDER = Path(__file__).resolve().parent.parent / "docs"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
FIRST = "index"


@dataclass(frozen=True)
class Document:
    name: str
    title: str
    html: Markup


def render(text: str) -> Markup:
    """Markdown to safe HTML: no raw HTML, no script links; links to other documents lead to their pages."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        for child in token.children or []:
            _link_pages(child)
            _root_picture(child)
        if token.type == "heading_open":
            _name_heading(token, tokens[tokens.index(token) + 1])
    html = markdown.renderer.render(tokens, markdown.options, {})
    # What scrolls sideways on a phone is reached by keyboard as well.
    return Markup(html.replace("<pre>", '<pre tabindex="0">'))  # noqa: S704


def _link_pages(token: Token) -> None:
    target = token.attrGet("href")
    if token.type != "link_open" or not isinstance(target, str):
        return
    parts = urlsplit(target)
    if parts.scheme:
        token.attrSet("rel", "noopener noreferrer")
    elif parts.path.endswith(".md"):
        anchor = f"#{parts.fragment}" if parts.fragment else ""
        token.attrSet("href", f"/docs/{Path(parts.path).stem.lower()}{anchor}")


def _root_picture(token: Token) -> None:
    """A picture beside the document is found from every page that shows the document."""
    source = token.attrGet("src")
    if token.type == "image" and isinstance(source, str) and not urlsplit(source).scheme:
        token.attrSet("src", f"/docs/{source.removeprefix('./')}")


def _name_heading(opening: Token, inline: Token) -> None:
    anchor = re.sub(r"[^a-z0-9]+", "-", inline.content.lower()).strip("-")
    if anchor:
        opening.attrSet("id", anchor)


def documents(folder: Path = FOLDER) -> list[Document]:
    """Every document, `index` first, then by title."""
    found = [document(path.stem, folder) for path in folder.glob("*.md") if NAME.fullmatch(path.stem)]
    return sorted(found, key=lambda one: (one.name != FIRST, one.title.lower()))


def document(name: str, folder: Path = FOLDER) -> Document:
    """One document by its file name without `.md`; raises NotFound."""
    path = folder / f"{name}.md"
    if not NAME.fullmatch(name) or not path.is_file():
        raise NotFound("There is no such page in the documentation.", "See the list at /docs.")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=128)
def _read(path: Path, changed: int) -> Document:
    text = path.read_text(encoding="utf-8")
    heading = re.search(r"^#\s+(.+)$", text, re.MULTILINE)
    return Document(path.stem, heading.group(1).strip() if heading else path.stem, render(text))
