"""Text as a model writes it -> the words a voice says, each with its place in the text.

Markup goes first (markdown, links, emoji), then a few readings that the voice's own front end
lacks (spans, phone numbers, addresses of the web), then that front end's normaliser, which does
times, dates, money, units and abbreviations. What is still in figures after it ("1,250",
"$4.20", "23rd", "1995") is read by its lexicon, so it stays as written here.

Every step keeps, for each character, the characters of the text that it stands for. Where the
normaliser rewords, its words are matched to those before it, and a stretch that was reworded
as a whole ("3:30 pm" -> "three thirty P.M.") is one `Spoken`.
"""

import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher

import msgspec
from hibari.g2p.normalize import normalize


class Spoken(msgspec.Struct, frozen=True):
    """Something said without a break: `text` is one word, or a few that one figure stands for.

    `end` is the number of characters of the original up to and with it. `text` is empty only
    where the whole original has nothing to say.
    """

    text: str
    end: int


def spoken_text(text: str) -> list[Spoken]:
    """The words of `text` in order; the last `end` is its length. Nothing for no text."""
    if not text:
        return []
    mapped = _Mapped(text)
    for pattern, say in _STEPS:
        mapped.sub(pattern, say)
    before = list(mapped.words())
    after = str(normalize(" ".join(word for word, _ in before))).split()
    return _joined(_matched(before, after), len(text))


class _Mapped:
    """Text under substitution, and where in the original each character of it comes from."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = list(range(len(text) + 1))

    def sub(self, pattern: re.Pattern[str], say: Callable[[re.Match[str]], str]) -> None:
        """Replace every match; the new characters stand for the whole of it."""
        parts: list[str] = []
        starts: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            a, b = match.span()
            said = say(match)
            if said == match[0]:
                continue
            parts += (self.text[done:a], said)
            starts += self.starts[done:a]
            starts += [self.starts[a]] * len(said)
            done = b
        if done:
            self.text = "".join((*parts, self.text[done:]))
            self.starts = starts + self.starts[done:]

    def words(self) -> Iterator[tuple[str, int]]:
        """The words between white space and where each ends in the original.

        Words of one replacement end where it ends; markup that was dropped right after a
        word belongs to it.
        """
        run: list[str] = []
        for match in re.finditer(r"\S+", self.text):
            run.append(match[0])
            end = self.starts[match.end()]
            if end > self.starts[match.end() - 1]:
                yield " ".join(run), end
                run = []


def _matched(before: list[tuple[str, int]], after: list[str]) -> list[Spoken]:
    """The reworded text `after`, laid beside the words `before` it."""
    old = [word for words, _ in before for word in words.split()]
    ends = [end for words, end in before for _ in words.split()]
    # Inside a replacement of several words only the last reaches its end.
    last = [i + 1 == len(ends) or ends[i + 1] != end for i, end in enumerate(ends)]
    out: list[Spoken] = []
    run: list[str] = []

    def close(i: int) -> None:
        if last[i]:
            out.append(Spoken(" ".join(run), ends[i]))
            run.clear()

    for tag, a, b, c, d in SequenceMatcher(None, old, after, autojunk=False).get_opcodes():
        if b - a == d - c:
            for i in range(b - a):
                run.append(after[c + i])
                close(a + i)
        elif tag == "insert" and out and not run:  # "$3 million" -> "3 million" and "dollars"
            out[-1] = Spoken(" ".join((out[-1].text, *after[c:d])), out[-1].end)
        else:
            run += after[c:d]
            if b > a:
                close(b - 1)
    return out


def _joined(words: list[Spoken], length: int) -> list[Spoken]:
    """The words with what is not said added to its neighbour: a dash to the word before it."""
    out: list[Spoken] = []
    lead = ""
    for word in words:
        if _SAID.search(word.text):
            out.append(Spoken(f"{lead} {word.text}".strip(), word.end))
            lead = ""
        elif out:
            out[-1] = Spoken(f"{out[-1].text} {word.text}".strip(), word.end)
        else:
            lead = f"{lead} {word.text}".strip()
    if not out:
        return [Spoken("", length)]
    out[-1] = Spoken(out[-1].text, length)
    return out


def _address(match: re.Match[str]) -> str:
    """A web or mail address as one would dictate it, without the scheme."""
    said = re.sub(r"^(?:https?://)?(?:www\.)?", "", match[0], flags=re.I).rstrip("/")
    for sign, word in _SIGNS.items():
        said = said.replace(sign, f" {word} ")
    return said


def _digits(match: re.Match[str]) -> str:
    """Digit by digit, a pause where the groups were: "(555) 123-4567"."""
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(" ".join(group) for group in re.findall(r"\d+", match[0]))


def _measure(match: re.Match[str]) -> str:
    """A figure and its unit, in the singular after 1: "2 m²" -> "2 square meters"."""
    power = {"²": "square ", "³": "cubic ", "": ""}[match["power"]]
    unit = _UNITS[match["unit"]]
    if match["number"] == "1":
        unit = {"feet": "foot", "meters per second": "meter per second"}.get(unit, unit[:-1])
    return f"{match['number']} {power}{unit}"


_SIGNS = {"@": "at", ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "=": "equals"}
_SIGNS |= {"?": "question mark", "&": "and", "#": "hash", "%": "percent", "+": "plus"}
_SIGNS |= {":": "colon", "~": "tilde"}
_UNITS = {"km": "kilometers", "m": "meters", "cm": "centimeters", "mm": "millimeters"}
_UNITS |= {"ft": "feet", "g": "grams", "L": "liters", "l": "liters", "W": "watts", "V": "volts"}
_UNITS |= {"J": "joules", "kJ": "kilojoules", "kcal": "kilocalories", "h": "hours"}
_UNITS |= {"m/s": "meters per second"}
"""What hibari's own table lacks, and what may be squared or cubed."""
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_SAID = re.compile(r"[^\W_]|[+&%@=#<>~^$€£]")
_TOP = "com|org|net|edu|gov|io|dev|ai|app|co|uk|de|fr|eu|info|me|tv"
_DOMAIN = rf"(?:[A-Za-z0-9-]+\.)+(?:{_TOP})\b"
_TAIL = r"[^\s<>\"')\]]*"
_EMOJI = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff\u200d\u20e3"
    "\ufe00-\ufe0f\U000e0000-\U000e007f"
)


def _say(
    pattern: str, by: str | Callable[[re.Match[str]], str], flags: int = 0
) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str]]:
    return re.compile(pattern, flags), (lambda m: m.expand(by)) if isinstance(by, str) else by


_STEPS = (
    _say(r"[’‘ʼ]", "'"),
    # Markdown: fences, rules and table lines; bullets, headings; links; emphasis; HTML.
    _say(r"^[ \t]*(?:```|~~~).*$|^[ \t]*(?:[-*_][ \t]*){3,}$", "", re.M),
    _say(r"^[ \t]*\|?[ \t:|-]*--[ \t:|-]*$", "", re.M),
    _say(r"^[ \t]*(?:[-*+•>]|#{1,6})[ \t]+", "", re.M),
    _say(r"!?\[(?=[^\]\n]*\]\()", ""),
    _say(r"\]\([^)\n]*\)", ""),
    _say(r"(?<=\d)[ ]?\*[ ]?(?=\d)", " times "),
    _say(r"\*+|~~|`+|(?<![^\W_])_{1,2}(?=\w)|(?<=\w)_{1,2}(?![^\W_])", ""),
    _say(r"<(?=https?:)|(?<=\w)>(?=\s|$)|</?[a-zA-Z][^<>\n]*>", ""),
    # Emoji, and letters the voice cannot pronounce: those of other scripts than Latin.
    _say(rf"[{_EMOJI}]+|[^\W\d_\u0000-\u024f\u1e00-\u1eff]+", ""),
    # Addresses of the web and of mail.
    _say(rf"(?:https?://|www\.){_TAIL}[\w/]|[\w.+-]+@{_DOMAIN}", _address, re.I),
    _say(rf"\b{_DOMAIN}(?:[/?#]{_TAIL})?(?<![.,;:!?])", _address, re.I),
    # Telephone and other long numbers, digit by digit.
    _say(
        r"(?<![\w.,])\+?(?:1[ .-]?)?(?:\(\d{3}\)[ ]?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])", _digits
    ),
    _say(r"(?<![\w.,$€£+-])(?:\+\d{7,15}|\d{10,}|0\d{4,15})(?![\w.,-]*\d)", _digits),
    _say(
        r"(?<![\w.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\w.]*\d)",
        r"\1 dot \2 dot \3 dot \4",
    ),
    # Differences and spans.
    _say(r"(?<=\d)[ ]-[ ](?=\d)", " minus "),
    _say(rf"(?<![\w.,/-])([$€£])({_NUMBER})[ ]?[-–—][ ]?\1?(?={_NUMBER})", r"\1\2 to \1"),
    _say(
        rf"(?<![\w.,/-])({_NUMBER})[ ]?[-–][ ]?(?={_NUMBER}[ ]?(?:%|°|[A-Za-z]))(?!\d+-)",
        r"\1 to ",
    ),
    _say(rf"(?<![\w.,])({_NUMBER})[ ]?–[ ]?(?={_NUMBER})", r"\1 to "),
    # Figures and signs.
    _say(r"(?<![\w.,])\.(?=\d)", "0."),
    _say(r"\b(24|9|50)/(7|11|50)\b", r"\1 \2"),
    _say(r"(?<![\w.])(\d{1,2})'[ ]?(\d{1,2})(?:\"|''|”)", r"\1 foot \2"),
    _say(
        rf"(?<![\w.,$€£])(?P<number>{_NUMBER})[ ]?(?P<unit>{_UNIT})(?P<power>[²³]?)(?![\w'/²³])",
        _measure,
    ),
    _say(r"\b([CF])#(?!\w)", r"\1 sharp"),
    _say(r"\b([A-Z]+)(\d)([A-Z])\b", r"\1 \2 \3"),
    _say(r"(?<=\w)[ ]?->[ ]?(?=\w)", " to "),
    _say(r"\be\.g\.(?=\s|,)", "for example"),
    _say(r"\bi\.e\.(?=\s|,)", "that is"),
    _say(r"[\[\]{}|\\]", " "),
)
