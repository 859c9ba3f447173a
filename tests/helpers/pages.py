"""Parse a page of HTML for tests."""

import html.parser
import re

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(html.parser.HTMLParser):
    """A parser that collects tags and visible text, and fails if a tag is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.pieces = [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []
        self.text = re.sub(r"\s+", " ", "".join(self.pieces))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if "style" not in self.stack:
            self.pieces.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]
