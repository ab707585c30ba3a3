"""Text as it is generated becomes clauses to speak: `push` pieces in, clauses come out.

The first clause leaves as early as it can be spoken; later ones are longer, because sound is
playing meanwhile and longer clauses are said with better melody. No character is lost or
changed: the clauses joined are the text pushed, so counts of characters stay exact. White
space between two clauses begins the second one; a line break ends the first.
"""

import re

FIRST_WORDS = 7
"""Words after which the first clause is cut where no punctuation comes: about 2.5 s of speech."""
MOST_WORDS = 25
MOST_CHARS = 300
"""A clause is cut here even inside a word: text without spaces must not grow without end."""

_CLOSERS = "\"”’')]}*_`»"
_STOP = re.compile(
    rf"(?P<mark>[.!?…]+|[,;:]|—|(?<=\s)–(?=\s)|[。！？，、；：])(?P<close>[{re.escape(_CLOSERS)}]*)"
    r"(?P<line>[ \t]*\n)?|(?P<newline>\n)"
)
_WORD = re.compile(r"\S+")
_ALNUM = re.compile(r"[^\W_]")
_SOFT = frozenset(",;:—–，、；：")
_SPACELESS = frozenset("—。！？，、；：")
_URL = re.compile(r"[/@:]|^www\.|\w\.\w", re.I)
_SCHEMES = frozenset(("http", "https", "mailto"))
_MARKER = re.compile(r"\s*(?:\d{1,3}|[A-Za-z])")

ABBREVIATIONS = frozenset(
    "dr mr mrs ms prof st mt ft jr sr gen gov sen rep capt lt col sgt rev hon pres vs etc eg ie"
    " cf al approx est no nos fig vol ch pp ed eds inc ltd co corp dept univ ave blvd rd apt bldg"
    " jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri".split()
)
"""Words that carry a full stop inside a sentence; also any single letter and any "a.m." form."""

_NUMBERED = frozenset("no nos fig vol ch pp mar".split())
"""Of these, the ones that are plain words too, or short for one before a figure only."""
_TITLED = frozenset("ed al col gen rep mon wed est".split())
"""Of these, the ones that are abbreviations only with a capital."""

_WEAK = frozenset(
    "a an the my your his her its our their this that these those of in on at to for from with by"
    " and or but if as is are was were be been am will would can could should may might must i"
    " you he she we they it not no very so than about into over under between".split()
)
"""A clause does not end on one of these where it can be avoided."""
_OPENERS = frozenset(
    "and or but because so which who that when where while if in on at to for from with by of as"
    " than into about after before is are was were will would can could should has have"
    " had".split()
)
"""A phrase often begins with one of these: a good place to take a breath before."""


class ClauseSplitter:
    """Incremental text of one spoken message in, clauses out.

    A clause ends at `, ; : — . ! ?` or a line break; without any, at a word boundary once the
    clause has grown too long. How long it may grow follows from how much has been said, for
    that much time there is to generate the rest. It does not end inside a number, a URL, a
    link, after an abbreviation, or before a closing quote.
    """

    def __init__(self) -> None:
        self._text = ""
        self._said = 0  # words that have left

    def push(self, text: str) -> list[str]:
        """The clauses that are complete with `text` added, usually none or one."""
        self._text += text
        clauses = []
        while (cut := self._cut()) is not None:
            clauses.append(self._take(cut))
        return clauses

    def flush(self) -> list[str]:
        """What is left, as the last clause of the message; the splitter then begins anew."""
        rest = [self._take(len(self._text))] if self._text else []
        self._said = 0
        return rest

    def _take(self, cut: int) -> str:
        clause, self._text = self._text[:cut], self._text[cut:]
        self._said += _words(clause)
        return clause

    def _cut(self) -> int | None:
        """Where the next clause ends, or None where that cannot be known yet."""
        text = self._text
        hard = len(text) > MOST_CHARS
        soft_words = 1 if not self._said else 3 if self._said < 6 else 6
        for stop in _STOP.finditer(text):
            end = stop.end()
            words = _words(text[: stop.start()])
            if not words or (not hard and _inside(text[:end])):
                continue
            if stop["newline"]:
                return end
            if stop["mark"] in _SOFT and words < soft_words:
                continue
            if self._ends_clause(stop):
                return end
        most = min(MOST_WORDS, FIRST_WORDS + 2 * self._said)
        if (cut := _breath(text, most)) is not None and (hard or not _inside(text[:cut])):
            return cut
        return MOST_CHARS if hard else None

    def _ends_clause(self, stop: re.Match[str]) -> bool:
        """Whether the mark found is the end of a clause, and this is known already."""
        text, mark = self._text, stop["mark"]
        start, end = stop.start(), stop.end()
        before = text[start - 1 : start]
        word = text[:start].rsplit(None, 1)[-1] if not before.isspace() else ""
        if mark == "." and _abbreviates(word, text[end : end + 2]):
            return False
        if mark in ".:" and _MARKER.fullmatch(text[:start]):
            return False  # the "1." of a list
        if mark in _SPACELESS or stop["line"]:
            return mark != "—" or not before.isdigit()  # "1914—1918"
        if end < len(text):
            return text[end].isspace()
        # The text ends here. The very first clause does not wait for the next piece when a
        # letter stands before the mark: no number can follow, and no quote is left to be closed.
        early = not self._said and before.isalpha() and not stop["close"]
        return early and not (_URL.search(word) or word.lower() in _SCHEMES or _open_quote(text))


def _words(text: str) -> int:
    return sum(1 for word in _WORD.findall(text) if _ALNUM.search(word))


def _abbreviates(word: str, after: str) -> bool:
    """Whether the full stop after `word` belongs to it: "Dr.", "e.g.", "p.m.", "J."."""
    bare = word.lstrip("\"“‘'([*_").lower()
    if not bare or not bare[-1].isalpha():
        return False
    if len(bare) == 1 or re.fullmatch(r"(?:[a-z]\.)+[a-z]", bare):
        return bare != "i" or after[:1].isalpha()
    if bare in _NUMBERED:
        return after == " " or after[1:].isdigit()  # what follows is not known, or a figure
    if bare in _TITLED:
        return word[:1].isupper()
    return bare in ABBREVIATIONS


def _open_quote(text: str) -> bool:
    """Whether a quote, bracket or emphasis that was opened has still to be closed."""
    return (
        text.count('"') % 2 == 1
        or text.count("“") > text.count("”")
        or text.count("(") > text.count(")")
        or len(re.findall(r"\*+", text)) % 2 == 1
        or text.count("`") % 2 == 1
    )


def _inside(text: str) -> bool:
    """Whether `text` ends inside a link or inline code, which must stay whole to be read well."""
    if text.count("`") % 2 == 1:
        return True
    label = text.rfind("[")
    if label < 0:
        return False
    closed = text.find("]", label)
    return closed < 0 or (text.startswith("](", closed) and ")" not in text[closed:])


def _breath(text: str, most: int) -> int | None:
    """A word boundary for a clause that has grown past `most` words, the best of the last few."""
    spans = [m.span() for m in _WORD.finditer(text)]
    ended = text[-1:].isspace()  # else the last word may still grow
    if len(spans) - (not ended) < most:
        return None
    words = [text[a:b].strip("\"“”‘’'()[]*_`,;:.!?").lower() for a, b in spans] + [""]
    if not ended and not words[-2][:1].isdigit():
        words[-2] = ""
    best, best_score = None, -9.0
    for k in range(most, max(most // 2, 2), -1):  # a cut after the k-th word
        left, right = words[k - 1], words[k]
        if not left or any(c.isdigit() for c in left + right) or _abbreviates(left, ""):
            continue  # "3:30 pm", "Dr. Who" stay together
        score = 2 * (right in _OPENERS) - 3 * (left in _WEAK) - (most - k) / 4
        if score > best_score:
            best, best_score = k, score
    if best is None:
        best = most if len(spans) > 2 * most else None
    return None if best is None else spans[best - 1][1]
