"""Strings on which CLIP tokenizers are easily wrong. Escapes where the eye could not tell."""

ENGLISH = [
    "", "a", "hello world", "Hello, World!", "HELLO WORLD", "a photo of a cat",
    "A Photo Of A Dog.", "You should've done this", "the quick brown fox jumps over the lazy dog",
    "an encoder maps the image and the text to vectors", "untrainedword qzxjkvw", "antidisestablishmentarianism",
    "x", "I", "a b c d e", "snake_case_name", "CamelCaseName", "kebab-case-name", "path/to/file.txt",
    "https://example.org/?q=cat&n=3#top", "e-mail: someone@example.org",
]
CONTRACTIONS = [
    "it's", "IT'S", "don't", "we're they've I'm you'll she'd", "'s 't 're 've 'm 'll 'd", "'S 'RE",
    "rock'n'roll", "o'clock", "dogs' bones", "it\u2019s", "x's's", "'", "''", "'''s", "l'd'm", "cat'll",
    "'\u017f 'ſt",
]
NUMBERS = [
    "0", "1234567890", "3.14159", "1998-12-31", "50%", "$1,000.00", "a1b2c3", "10x10", "2nd 3rd",
    "\u2167 \u216f", "m\u00b2 and 10\u00b3", "\u00bd cup", "\u2460\u2461", "\u0661\u0662\u0663", "\u0967\u0968",
    "\uff11\uff12", "\u00aa \u00ba 1\u00ba", "\u3007 \u4e00\u4e8c\u4e09", "\u2180\u2188", "\U0001d7d8\U0001d7e2",
]
PUNCTUATION = [
    "!", "!!!", "?!?!", "...", "\u2026", "hello!!!world", "(a)[b]{c}<d>", "-- \u2013 \u2014", "\"quoted\" \u201cquoted\u201d",
    "\u00abcita\u00bb", "a,b;c:d", "#hashtag @user", "~`^|\\", "+-*/=", "___", "\u00a9 \u00ae \u2122", "\u20ac \u00a3 \u00a5",
    "&amp; &lt;b&gt;", "\u00a1Hola! \u00bfQu\u00e9?", "a\u00b7b", "100\u00b0C", "\u3001\u3002\u300c\u300d",
]
SPACES = [
    " ", "    ", "\t\n\r ", " leading", "trailing ", "two  spaces", "tab\tbetween", "line\nbreak", "crlf\r\nbreak",
    "no\u00a0break", "em\u2003space", "thin\u2009space", "ideographic\u3000space", "narrow\u202fspace",
    "line\u2028separator", "paragraph\u2029separator", "next\u0085line", "vertical\x0btab", "form\x0cfeed",
    "ogham\u1680space", "zero\u200bwidth", "word\u2060joiner", "bom\ufeffinside", "\ufeffbom first",
    "mongolian\u180evowel", "file\x1cseparator unit\x1fseparator", "\u00a0\u2003\u3000",
]
LATIN = [
    "caf\u00e9", "cafe\u0301", "CAF\u00c9", "na\u00efve r\u00e9sum\u00e9", "nai\u0308ve re\u0301sume\u0301", "\u00c5ngstr\u00f6m",
    "\u212bngstr\u00f6m", "Z\u00dcRICH", "Stra\u00dfe", "STRA\u1e9eE", "\u0130stanbul", "I\u0307stanbul", "\u0131\u015f\u0131k",
    "\u0141\u00f3d\u017a", "\u01c4 \u01c5 \u01c6", "\ufb01ne \ufb02ow", "\u1e69 s\u0323\u0307 s\u0307\u0323", "q\u0307\u0323",
    "\u0340 \u0344", "\u2126 \u212a", "e\u0301\u0301\u0301", "\u0301alone", "\u1ea4\u1ec6", "\uff21\uff22\uff23\uff41", "\u2c6f \ua77d",
]
SCRIPTS = [
    "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3", "\u039f\u0394\u039f\u03a3 \u03a3\u03a3", "\u03a3", "\u03b1\u03a3\u0301", "\u1fb3 \u1fbc \u1f88",
    "\u041a\u041e\u0428\u041a\u0410 \u0438 \u0441\u043e\u0431\u0430\u043a\u0430", "\u0439 \u0438\u0306", "\u0535\u0582 \u0587", "\u10a0\u10d0 \u1c90",
    "\u4e00\u53ea\u732b", "\u6771\u4eac\u306e\u5199\u771f", "\u30ab\u30e1\u30e9 \uff76\uff92\uff97", "\u304b\u3099 \u304c", "\uf900 \ufa10",
    "\U0002f800", "\U00020000\U0002a6d6", "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab\u1100\u116e\u11a8", "\u1112\u1161 \u11ab", "\uac00\u11a8", "\u3131\u314f",
    "\u0642\u0637\u0629", "\u0645\u064e\u0631\u062d\u064e\u0628\u064b\u0627", "\u0627\u0653 \u0622", "\ufefb", "\u05e9\u05c1\u05dc\u05d5\u05dd",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0915\u093c \u0958", "\u0939\u093f\u0928\u094d\u0926\u0940 \u092a\u093e\u0920", "\u0995\u09c7\u09be \u0995\u09cb",
    "\u0bb5\u0ba3\u0b95\u0bcd\u0b95\u0bae\u0bcd", "\u0e41\u0e21\u0e27 \u0e19\u0e49\u0e33", "\u0f69 \u0f40\u0fb5", "\u13a0\uab70", "\u16a0\u16a2",
    "\U00010400\U00010428", "\U0001e900\U0001e922", "\u0c95\u0cc6\u0cc2\u0cd5", "\u2adc", "\ufb1d \ufb4f",
]
EMOJI = [
    "\U0001f600", "\u2764\ufe0f", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea",
    "1\ufe0f\u20e3", "cat\U0001f431dog", "\U0001f431\U0001f431 \U0001f436!", "\u2600\u2601", "\U0001f9d1\u200d\U0001f680 astronaut",
]
CONTROL = [
    "a\x00b", "\x01\x02", "bell\x07", "\x1b[31mred\x1b[0m", "del\x7f", "soft\u00adhyphen", "rtl\u202eoverride\u202c",
    "private\ue000use", "non\uffffcharacter", "replacement\ufffd", "unassigned\u0378", "tag\U000e0041",
    "\U0010fffd", "variation\ufe00", "\u034fgrapheme",
]
SPECIAL = [
    "<|startoftext|>", "<|endoftext|>", "a<|endoftext|>b", "a <|endoftext|> b", "<|endoftext|><|startoftext|>",
    "<|ENDOFTEXT|>", "<|StartOfText|>", "<|endoftext", "< |endoftext|>", "<|endoftext|>'s", "!<|endoftext|>!",
    "  <|endoftext|>  ", "<|startoftext|>a photo<|endoftext|>", "<start_of_text> <end_of_text>", "</w>", "a</w> b</w>",
    "<|endoftext|>\u0301", "caf<|endoftext|>\u0301e",
]
LONG = [
    "a photo of a cat and a dog. " * 12, "1" * 75, "1" * 76, "!" * 200, "word " * 75, "word " * 76,
    "supercalifragilistic" * 20, "\u732b" * 40, "\U0001f431 " * 30, "the " * 74 + "<|endoftext|> the the the",
]
MIXED = [
    "Caf\u00e9 #7: 2\u00d7 latte = \u20ac9.50!", "Temp: \u221212\u00b0C \u2192 10\u00b0F", "ABC\u0434\u0435\u0444\u6771\u4eac123\U0001f600end",
    "  Ein   M\u00fcnchner\tim\n\nHimmel, 1911 ", "2\u00bd-year-old's \u00aa\u00ba\u2075", "x\u0301y\u20dd z\u0338=", "ma\u00f1ana/man\u0303ana",
    "\u2113 \u210c \u2170 \u2189 \u20d0", "\u02b0\u02bc\u02c6", "It\u2019s 5 o\u2019clock \u2014 we\u2019re late",
    "schön \u00dcber-gro\u00df' 's", "\u00b5 \u03bc \u00df\u017f",
]

STRINGS = (ENGLISH + CONTRACTIONS + NUMBERS + PUNCTUATION + SPACES + LATIN + SCRIPTS + EMOJI
           + CONTROL + SPECIAL + LONG + MIXED)
