"""Texts as they come damaged, and the ids of OpenAI's and open_clip's tokenizer, which mend them first.

    python -m generators.cleaning 50000 > pairs.jsonl     (in tests/golden: more, as [text, cleaned] a line)
"""

import html
import html.entities
import json
import random
import sys
from pathlib import Path

from ftfy import chardata
from open_clip.tokenizer import get_clean_fn

from .tokenizer import original_tokenizer

SENTENCES = """\
a photo of a cat
Don't feed the "ducks" at 5 o'clock...
Crème brûlée à la française, œufs, garçon
Größenwahn über süße Äpfel, Straße 5
¿Dónde está el niño? ¡Mañana!
São Paulo não é à beira-mar
Žluťoučký kůň úpěl ďábelské ódy
Zażółć gęślą jaźń
Árvíztűrő tükörfúrógép
İstanbul'da ığdır çiçeği şöyle
Привет, мир! Съешь ещё этих булок
Ѓорѓи љубопитно њиве ђак
Щось їсть ґудзик
Γειά σου Κόσμε, τι κάνεις; ΟΔΟΣ
שלום עולם
مرحبا بالعالم
नमस्ते दुनिया
สวัสดีชาวโลก
Xin chào thế giới, tiếng Việt
日本語のテキスト、カタカナ
中文文本「引号」
한국어 텍스트
“Curly quotes” and ‘single ones’ — it’s an ellipsis…
Price: 5 € or £4.50 or ¥700, 20 °C ± 1½ × 2³
© 2024 Company™ ® § ¶ • † ‡ ‰
I ❤ emoji 😀 👩‍🚀 🇫🇷 ✓
ﬁne ﬂuﬃ ﬆeam Ĳsland ŉ Ǆ
ＦＵＬＬ ｗｉｄｔｈ！ ｶﾞｷﾞ ￥100
ā ē ī ū Latviešu šķūņi Ķēniņš
Ærø fjord Ødegård Åse""".splitlines()

ENCODINGS = ["latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250",
             "sloppy-windows-1253", "sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2",
             "macroman", "cp437", "cp850", "sloppy-windows-1255"]

LETTERS = sorted({c for code in range(0x10000) if not 0xD800 <= code < 0xE000
                  for c in [chr(code)]
                  if any(chardata.possible_encoding(c, name) for name in chardata.CHARMAP_ENCODINGS)})
SPACES = ["\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\xa0", "\u2003", "\u2028", "\u2029", "\u3000", "  "]
ODD = ["\x00", "\x1a", "\x1b[1;31m", "\x1b[0m", "\x1b[", "\x1b", "\x7f", "\x92", "\x81", "\xad", "\u200b",
       "\u200d", "\u206a", "\ufeff", "\ufffc", "\ufffd", "\u02bc", "\u201f", "e\u0301", "\u212b", "\uffe3", "ſ",
       "'ſ", "\u1100\u1161\u11a8", "<", ">", "&", "_", "<|endoftext|>", "<|STARTOFTEXT|>", "<end_of_text>"]
NAMES = sorted(html.entities.html5)


def entity(rng):
    name = rng.choice(NAMES)
    number = rng.choice([39, 34, 38, 59, 60, 160, 146, 128, 129, 0, 1, 13, 0xD800, 0xFFFE, 0x1F600, 0x110000,
                         rng.randrange(0x3000)])
    return rng.choice([
        f"&{name}", f"&{name.rstrip(';')}", f"&{name.upper()}", f"&amp;{name}", f"&{name[:-2]};",
        f"&#{number};", f"&#{number}", f"&#x{number:x};", f"&#X{number:X}", f"&#{number}x;",
        "&amp;", "&amp;amp;", "&ampquot;", "&notit;", "&lt;", "&quot", "&nbsp;", "&eacute;", "&hellip;"])


def misread(rng, text):
    encoding = rng.choice(ENCODINGS[:2] * 4 + ENCODINGS)
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:  # CESU-8
        units = text.encode("utf-16-be")
        units = [chr(units[i] << 8 | units[i + 1]) for i in range(0, len(units), 2)]
        data = "".join(units).encode("utf-8", "surrogatepass")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode(encoding, "replace")


def damaged(rng):
    """A text with one to four kinds of damage."""
    text = rng.choice(SENTENCES)
    if rng.random() < 0.5:
        words = text.split(" ")
        start = rng.randrange(len(words))
        text = " ".join(words[start:start + rng.randrange(1, 5)])
    if rng.random() < 0.1:
        text = "".join(rng.choice(LETTERS) for _ in range(rng.randrange(1, 9)))
    if rng.random() < 0.03:
        text = "".join(chr(rng.choice([rng.randrange(0x250), rng.randrange(0x2000, 0x2600)]))
                       for _ in range(rng.randrange(1, 9)))
    for _ in range(rng.randrange(1, 5)):
        kind = rng.randrange(10)
        at = rng.randrange(len(text) + 1)
        if kind < 3:
            text = misread(rng, text)
        elif kind == 3:
            text = text[:at] + misread(rng, rng.choice(SENTENCES).split(" ")[0]) + text[at:]
        elif kind == 4:
            text = text[:at] + entity(rng) + text[at:]
        elif kind == 5:
            text = text[:at] + rng.choice(ODD + SPACES) + text[at:]
        elif kind == 6:
            text = text.replace("\xa0", " ") if rng.random() < 0.5 else text[:at] + rng.choice("\ufffd? ") + text[at + 1:]
        elif kind == 7:
            text = html.escape(text) if rng.random() < 0.5 else "".join(
                f"&#{ord(c)};" if not c.isascii() else c for c in text)
        elif kind == 8:
            text = text.upper() if rng.random() < 0.3 else text + rng.choice(SPACES) + rng.choice(SENTENCES)
        elif kind == 9:
            text = text[:at] + rng.choice(LETTERS) + text[at:]
    return text[:300]


def texts(count, seed=9):
    rng = random.Random(seed)
    return list(dict.fromkeys(damaged(rng) for _ in range(count)))


def generate(root: Path) -> None:
    """Write `tokenizer/cleaning.json`: for each of open_clip's ways to clean, rows of text and ids."""
    directory = root / "tokenizer"
    strings = texts(240)
    lists = {}
    for clean, rows in [("lower", strings), ("whitespace", strings[:30]), ("canonicalize", strings[:30])]:
        start, encode, end = original_tokenizer(directory / "bpe_simple_vocab.txt", clean)
        lists[clean] = [{"text": text, "ids": [start, *encode(text), end]} for text in rows]
    blocks = (f'"{name}": [\n' + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]"
              for name, rows in lists.items())
    (directory / "cleaning.json").write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    clean = get_clean_fn("lower")
    for text in texts(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 9):
        print(json.dumps([text, clean(text)]))
