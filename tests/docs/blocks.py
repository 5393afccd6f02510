"""Code blocks of the pages of the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

RUN = ("sh", "python")
"""Languages of blocks that run."""

SHOWN = ("", "text", "toml", "bash", "csv", "json", "bibtex", "xml", "yaml", "html")
"""Languages of blocks that only show something; `bash` is for scripts, `sh` for commands to type."""

FENCE = re.compile(
    r"(?:^[ ]*<!-- not run: (?P<reason>.+?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
GIVEN = re.compile(r"^<!-- given: (.+?) -->$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Code block of a page.

    Attributes:
        line: Number of its first line in the page.
        language: Language after the fence; empty without one.
        text: Its lines.
        reason: Reason why it does not run, from the comment above it; None without a comment.
    """

    line: int
    language: str
    text: str
    reason: str | None

    @property
    def file(self) -> str | None:
        """Path of the file that the block shows, from its first line `# PATH`; or None."""
        named = re.match(r"# ([\w./-]+\.[a-z]+)\n", self.text)
        return named[1] if named and self.language not in RUN else None

    @property
    def runs(self) -> bool:
        return self.language in RUN and self.reason is None


def blocks_of(page: str) -> list[Block]:
    """Return the code blocks of the text of a page."""
    found = []
    for match in FENCE.finditer(page):
        text = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        line = page.count("\n", 0, match.start("text")) + 1
        found.append(Block(line, match["language"].strip(), text, match["reason"]))
    return found


def given_to(page: str) -> dict[str, str]:
    """Return the content, a name in `given.py`, of each file that a page is given."""
    return {
        path.strip(): content.strip()
        for comment in GIVEN.findall(page)
        for path, _, content in (entry.partition("=") for entry in comment.split(";") if entry.strip())
    }
