"""Write the generated pages of the docs: `python -m tests.docs.reference`."""

from tests.docs.reference.pages import pages

for path, text in pages().items():
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
