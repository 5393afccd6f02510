"""List docstrings, comments, messages and pages that break rules of plain English.

    python tests/docs/plain_english.py [FOLDER OR FILE ...]      # breaches, a line each
    python tests/docs/plain_english.py --draw 60 --seed 0        # docstrings drawn at random, for a reader to grade

The rules are those of CONTRIBUTING.md that a program can check.
"""

import argparse
import ast
import io
import random
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CODE = ("lenskit", "plugins", "examples", "tests")
SUMMARY = 80  # characters of a docstring's first line

OPENERS = re.compile(r"(What|How|Which|Where|Who|When|Why|Of|As|That|Those|Also|And|So|Its|Their|See) ")
THIRD_PERSON = re.compile(
    r"(Adds|Applies|Asks|Builds|Calls|Checks|Collects|Compares|Computes|Converts|Copies|Counts|Creates|Cuts|Draws"
    r"|Embeds|Ends|Fills|Finds|Fits|Gives|Goes|Has|Holds|Judges|Keeps|Learns|Lets|Loads|Makes|Moves|Opens|Prints|Puts"
    r"|Raises|Reads|Refuses|Removes|Renders|Replaces|Returns|Runs|Saves|Says|Sets|Shows|Simulates|Splits|Starts|Stops"
    r"|Takes|Tells|Trains|Tries|Turns|Uses|Waits|Walks|Warns|Writes|Yields),? (?!of |and |for )"
)
PHRASES = re.compile(
    r"\b(beside|anew|so many|of which|(?:is|are|was|were) (?:told|said)|comes? to|goes by|saying so|says so"
    r"|nothing is said)\b",
    re.IGNORECASE,
)
WHAT = re.compile(r"\bwhat\b", re.IGNORECASE)
SENTENCE = re.compile(r"[^.?!:;]*[.?!:;]?(?=\s|$)|[^.?!:;]+[.?!:;]", re.DOTALL)


class Text(NamedTuple):
    """Piece of English in a file: `kind` is docstring, comment, message or page."""

    path: Path
    line: int
    kind: str
    text: str
    owner: str = ""


def docstrings(path: Path, tree: ast.Module) -> Iterator[Text]:
    """Yield the docstrings of modules, classes and functions."""
    for node, name in _named(tree, ""):
        if text := ast.get_docstring(node):
            yield Text(path, node.body[0].lineno, "docstring", text, name)


def comments(path: Path, source: str) -> Iterator[Text]:
    """Yield the comments; lines that follow each other are one."""
    last = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("# ")
            alone = not token.line[: token.start[1]].strip()
            if last is not None and alone and token.start[0] == last.line + last.text.count("\n") + 1:
                last = last._replace(text=f"{last.text}\n{text}")
                continue
            if last is not None:
                yield last
            last = Text(path, token.start[0], "comment", text)
    if last is not None:
        yield last


def messages(path: Path, tree: ast.Module) -> Iterator[Text]:
    """Yield strings of at least four words that are not docstrings.

    Values in f-strings become `{}`.
    """
    skipped = {id(node.body[0].value) for node, _ in _named(tree, "") if ast.get_docstring(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            text = node.value
        else:
            continue
        if len(text.split()) >= 4:
            yield Text(path, node.lineno, "message", text)


def page(path: Path) -> Iterator[Text]:
    """Yield the paragraphs of a page of Markdown, without its blocks of code."""
    start, lines, fenced = 1, [], False
    for number, line in enumerate([*path.read_text().splitlines(), ""], 1):
        fence = line.lstrip().startswith("```")
        if lines and (fence or fenced or not line.strip() or line.lstrip().startswith(("- ", "|", "#"))):
            yield Text(path, start, "page", "\n".join(lines))
            lines = []
        fenced ^= fence
        if line.strip() and not fenced and not fence:
            start = number if not lines else start
            lines.append(line)


def breaches(text: Text) -> Iterator[str]:
    """Yield the rules that a text breaks, in words."""
    prose = re.sub(r"`[^`]*`|\"[^\"]*\"", "X", text.text)
    if text.kind == "docstring":
        summary = text.text.splitlines()[0]
        if match := OPENERS.match(summary):
            yield f"begins with {match[1]!r}"
        if match := THIRD_PERSON.match(summary):
            yield f"begins with {match[1]!r}: use the imperative"
        if len(summary) > SUMMARY:
            yield f"first line has {len(summary)} characters, over {SUMMARY}"
    for match in PHRASES.finditer(prose):
        yield f"has {match[0]!r}"
    for sentence in SENTENCE.findall(prose) if WHAT.search(prose) else ():
        if WHAT.search(sentence) and not sentence.rstrip().endswith("?"):
            yield f"has a clause with 'what': {' '.join(sentence.split())[:80]!r}"


def texts(path: Path) -> Iterator[Text]:
    """Yield all English of a file, of Python or Markdown."""
    if path.suffix == ".md":
        yield from page(path)
        return
    source = path.read_text()
    tree = ast.parse(source)
    yield from docstrings(path, tree)
    yield from comments(path, source)
    if "tests" not in path.relative_to(ROOT).parts[:1]:
        yield from messages(path, tree)


def files(places: list[Path]) -> list[Path]:
    """Return the files of Python and Markdown in some places."""
    found = [f for p in places for f in ([p] if p.is_file() else p.rglob("*")) if f.suffix in (".py", ".md")]
    return sorted(f.resolve() for f in found if not any(part.startswith(".") for part in f.parts))


def default_places() -> list[Path]:
    """Return the folders and pages that the rules hold for."""
    return [ROOT / name for name in (*CODE, "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def draw(number: int, seed: int) -> list[Text]:
    """Draw docstrings of the package and the bundled plugins at random."""
    paths = files([ROOT / "lenskit", ROOT / "plugins"])
    every = [text for path in paths if path.suffix == ".py" for text in docstrings(path, ast.parse(path.read_text()))]
    return random.Random(seed).sample(every, number)


def _named(tree: ast.Module, prefix: str) -> Iterator[tuple[ast.Module | ast.ClassDef | ast.FunctionDef, str]]:
    """Yield the module, its classes and functions with their dotted names."""
    yield tree, prefix
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, node.name  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="*", type=Path, default=default_places())
    parser.add_argument("--draw", type=int, metavar="N", help="print N docstrings drawn at random instead")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.draw:
        for number, text in enumerate(draw(arguments.draw, arguments.seed), 1):
            print(f"--- {number}: {text.owner or 'module'} in {text.path.relative_to(ROOT)}\n{text.text}\n")
        return
    count = 0
    for path in files(arguments.places):
        for text in texts(path):
            for breach in breaches(text):
                count += 1
                print(f"{path.relative_to(ROOT)}:{text.line}: {text.kind} {breach}")
    print(f"{count} breaches")


if __name__ == "__main__":
    main()
