"""`python -m tests.docs`: writes the made parts of every document; says which documents changed."""

from app.settings import ROOT
from tests.docs import documents, made

for path in documents():
    before = path.read_text(encoding="utf-8")
    after = made(before)
    if after != before:
        path.write_text(after, encoding="utf-8")
        print(f"{path.relative_to(ROOT)} changed")
