"""The markdown of answers: what it becomes, that cutting the stream anywhere changes nothing, that it stays fast."""

import pytest

pytestmark = pytest.mark.slow

CASES = {
    "paragraphs": ("하나\n둘\n\n셋", "<p>하나<br>둘</p><p>셋</p>"),
    "emphasis": ("**굵게**는 *기울임* ~~지움~~ ***둘 다***", None),
    "korean particle": ('**"강조"**는 된다', '<p><strong>"강조"</strong>는 된다</p>'),
    "not emphasis": ("2*3*4 snake_case_name * a * b", "<p>2*3*4 snake_case_name * a * b</p>"),
    "code": ("`a*b*` ``x`y``", "<p><code>a*b*</code> <code>x`y</code></p>"),
    "heading": ("# 제목 #\n글", "<h3>제목</h3><p>글</p>"),
    "list": (
        "- 하나\n- 둘\n  - 셋\n- 넷",
        "<ul><li><p>하나</p></li><li><p>둘</p><ul><li><p>셋</p></li></ul></li><li><p>넷</p></li></ul>",
    ),
    "numbers": ("3. 가\n4. 나", '<ol start="3"><li><p>가</p></li><li><p>나</p></li></ol>'),
    "year": ("그해는\n1984. 추웠다", "<p>그해는<br>1984. 추웠다</p>"),
    "quote": ("> 옛말\n> 둘째\n\n끝", "<blockquote><p>옛말<br>둘째</p></blockquote><p>끝</p>"),
    "fence": ("```py\nprint('<b>')\n\n  x\n```\n뒤", None),
    "open fence": ("```\nx = 1", None),
    "table": ("| 가 | 나 |\n|:--|--:|\n| 1 | `a|b` |\n\n뒤", None),
    "no table": ("| 가 | 나 |\n끝", "<p>| 가 | 나 |<br>끝</p>"),
    "rule": ("위\n\n---\n\n* * *\n\n아래", "<p>위</p><hr><hr><p>아래</p>"),
    "link": ("[글](https://example.org/a_b) https://example.org/가", None),
    "bad link": ("[글](javascript:alert(1)) [x](data:text/html,y)", "<p><span>글</span> <span>x</span></p>"),
    "image": ("![그림](https://example.org/a.png)", None),
    "html": ("<b>굵게</b><br>줄", "<p>&lt;b&gt;굵게&lt;/b&gt;<br>줄</p>"),
    "mixed": (
        "## 요약\n\n1. **첫째**: `x`\n   - 안\n2. 둘째\n\n> 인용 *글*\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nlet a;\n```\n끝 [1].",
        None,
    ),
    "torn marks": ("**열림 `코드 _밑줄 [링크](https://", "<p>**열림 `코드 _밑줄 [링크](https://</p>"),
    "returns": ("하나\r\n\r\n둘\r- 셋", "<p>하나</p><p>둘</p><ul><li><p>셋</p></li></ul>"),
}
LIBRARY = """async () => {
  const { MarkdownView, renderMarkdown } = await import('./js/markdown.js');
  const html = (node) => { const box = document.createElement('div'); box.append(node); box.normalize(); return box.innerHTML; };
  window.whole = (text) => html(renderMarkdown(text));
  window.cut = (text, places) => {
    const fragment = document.createDocumentFragment();
    const view = new MarkdownView(fragment);
    let from = 0;
    for (const place of [...places, text.length]) { view.append(text.slice(from, place)); from = place; }
    view.finish();
    return html(fragment);
  };
}"""


@pytest.fixture
def page(open_page):
    page = open_page()
    page.evaluate(LIBRARY)
    return page


@pytest.mark.parametrize("name", CASES)
def test_text_becomes_nodes(page, name):
    text, expected = CASES[name]
    whole = page.evaluate("whole", text)
    if expected is not None:
        assert whole == expected
    assert "<script" not in whole
    assert "<img" not in whole


def test_shapes(page):
    assert "<strong><em>둘 다</em></strong>" in page.evaluate("whole", CASES["emphasis"][0])
    assert "<pre tabindex=\"0\"><code>print('&lt;b&gt;')\n\n  x\n</code></pre>" in page.evaluate(
        "whole", CASES["fence"][0]
    )
    table = page.evaluate("whole", CASES["table"][0])
    assert '<th class="align-left">가</th><th class="align-right">나</th>' in table
    assert "<code>a|b</code>" in table
    link = page.evaluate("whole", CASES["link"][0])
    assert link.count('rel="noopener noreferrer nofollow"') == 2
    assert link.endswith("https://example.org/</a>가</p>")
    assert 'href="https://example.org/a.png"' in page.evaluate("whole", CASES["image"][0])


def test_a_stream_cut_anywhere_gives_the_same_nodes(page):
    wrong = page.evaluate(
        """(texts) => texts.flatMap((text) => {
          const want = whole(text);
          const all = Array.from({ length: text.length }, (_, at) => at);
          const cuts = [all, ...all.map((at) => [at]), ...all.map((at) => [at, Math.min(at + 3, text.length)])];
          return cuts.filter((places) => cut(text, places) !== want).map((places) => [text, places.slice(0, 2), cut(text, places), want]);
        })""",
        [text for text, _ in CASES.values()],
    )
    assert wrong[:3] == []


def test_random_markdown_is_read_the_same_in_pieces(page):
    """20,000 texts put together from the pieces that mean something, cut at random."""
    wrong = page.evaluate(
        """() => {
          const parts = ['*', '**', '_', '`', '```', '~~', '[', ']', '(', ')', '](https://a.b)', '#', '# ', '- ', '1. ', '> ', '|', '\\n',
            '\\n\\n', '---', '  ', '    ', '\\t', '<b>', '\\\\', '![', '한글', 'word', ' ', '\\r\\n', ':-:', '|-|', '[1]', 'https://x.y/', '~'];
          let state = 7;
          const random = (below) => { state = (state * 1103515245 + 12345) % 2147483648; return Math.floor(state / 65536) % below; };
          const wrong = [];
          for (let round = 0; round < 20000 && wrong.length < 3; round += 1) {
            let text = '';
            for (let left = 3 + random(60); left > 0; left -= 1) text += parts[random(parts.length)];
            const places = Array.from({ length: 1 + random(6) }, () => random(text.length + 1)).sort((a, b) => a - b);
            const want = whole(text);
            const got = cut(text, places);
            if (got !== want) wrong.push([text, places, got, want]);
            if (/<(?!\\/?(p|br|strong|em|code|del|a|span|h[3-6]|ul|ol|li|blockquote|hr|pre|div|table|thead|tbody|tr|th|td)[ >])/.test(want)) wrong.push([text, want]);
          }
          return wrong;
        }"""
    )
    assert wrong == []


@pytest.mark.parametrize(
    "unit",
    [
        "낱말 word ",
        "**열림 ",
        "[a](b ",
        "`x ",
        "| a | b |\n",
        "- 하나\n",
        "> " * 40 + "\n",
        "```\n",
        "*a_b*c_ ",
        "줄\n",
        "\\",
        "가",
        "1. 가\n  - 나\n",
    ],
)
def test_long_answers_cost_no_more_than_their_length(page, unit):
    """100 kB in pieces of 16 letters: the worst unit stays within what a reader would not notice."""
    milliseconds = page.evaluate(
        """(unit) => {
          const text = unit.repeat(Math.ceil(100000 / unit.length));
          const places = Array.from({ length: Math.floor(text.length / 16) }, (_, at) => at * 16);
          const began = performance.now();
          cut(text, places);
          return performance.now() - began;
        }""",
        unit,
    )
    assert milliseconds < 10_000
