"""Writes unicode_tables.cc beside this file: the letters, numbers, spaces and punctuation of Unicode, as runs.

Python's own `unicodedata` is as old as the Python; `pip install unicodedata2==16.0.0` gives the version that the
`tokenizers` library splits words with, and this script prefers it. Run: python make_unicode_tables.py
"""

from pathlib import Path

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

VERSION = "16.0.0"
CLASSES = {"L": 1, "N": 2, "Z": 3, "P": 4}
OTHER, SPACE = 0, 3
PER_LINE = 10

HEAD = f"""// Made by make_unicode_tables.py from Unicode {VERSION}; change that file, not this one.
#include "tokenizer/unicode_tables.h"

namespace dotori {{

// Runs of characters of one class: the first character << 3 | the class.
const uint32_t kCharacterRuns[] = {{
"""
TAIL = """};

const int kCharacterRunCount = sizeof kCharacterRuns / sizeof kCharacterRuns[0];

}  // namespace dotori
"""


def character_class(code: int) -> int:
    """The number in CharacterClass; White_Space is category Z and six control characters."""
    if 9 <= code <= 13 or code == 0x85:
        return SPACE
    return CLASSES.get(unicodedata.category(chr(code))[0], OTHER)


def main() -> None:
    """Writes the file."""
    if unicodedata.unidata_version != VERSION:
        raise SystemExit(f"unicodedata: {unicodedata.unidata_version}; {VERSION} is needed; install unicodedata2")
    runs, last = [], None
    for code in range(0x110000):
        kind = character_class(code)
        if kind != last:
            runs.append(f"{code << 3 | kind:#x},")
            last = kind
    lines = (" ".join(runs[at : at + PER_LINE]) for at in range(0, len(runs), PER_LINE))
    body = "".join(f"    {line}\n" for line in lines)
    (Path(__file__).parent / "unicode_tables.cc").write_text(HEAD + body + TAIL, encoding="utf-8")


if __name__ == "__main__":
    main()
