"""A page as a test reads it."""

from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "rect", "line", "path", "circle"}


class Page(HTMLParser):
    """Collects tags, attributes and visible text, and checks that tags nest."""

    def __init__(self, source: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.source = source
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data.replace("\u00a0", " ")
