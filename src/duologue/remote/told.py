"""What another server says of a fault, made fit for a client and a log. Pure.

Such words may hold anything: a key that is not even ours (a gateway's, for what is behind it),
an organization, an address within the owner's network. What looks like one is cut.
"""

import ipaddress
import re

from duologue.text import well_formed

MOST_CHARACTERS = 300
MOST_READ = 2000
"""Of a text: an error may be a page of megabytes, of which the rest is not shown anyway."""

CUT, PLACE = "…", "(an address)"

_NAMED = re.compile(
    r"""(?ix)
    \b( (?: (?:proxy-)?authorization | (?:x-)?api[ _-]?key (?:\ provided)? | subscription[ _-]key
      | (?:access|refresh|auth|id|session)?[_-]?token | (?:client[ _-])?secret | password | passwd
      | credentials? )
      ["']? \s* [:=] \s* ["']? ) (?: (?:bearer|basic|digest|token) \s+ )? [^\s"',;&}\])]+
    """
)
_BESIDE = re.compile(
    r"""(?ix)
    \b( (?: api[ _-]?key | token | secret (?:\ key)? ) \s+ )
    (?! (?: authenti | authori | verific | configur | permission ) )
    (?: (["'`]) [^\s"'`]{4,} \2 | (?= [^\s\d]* \d ) [\w.~+/=*-]{8,} | [\w.~+/=*-]{12,} )
    """
)
"""A key that stands right after what it is: quoted, or too long for a word (or with a figure)."""
_SCHEME = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=*-]{6,}|\b(basic\s+)[\w+/]{12,}=*")
_SHAPED = re.compile(
    r"""(?x)
    \b (?i: sk | pk | rk | ek | ak | hf | gsk | xai | nvapi | pplx | tgp | csk | glpat | gh[opsu]
      | github_pat | xox[abps] | r8 | fw ) [-_] [\w*.-]{4,}
    | \b (?i: key | org | organization | proj | project | sess | user | acct | team ) [-_]
      (?= [\w*-]* [\dA-Z*] ) [\w*-]{4,}
    | \b AKIA [\dA-Z]{12,} | \b AIza [\w-]{20,} | \b eyJ [\w-]{8,} (?: \. [\w-]* )*
    | \b (?= \w*\d ) (?= \w*[A-Za-z] ) \w{32,}
    """
)
_URL = re.compile(
    r"""(?ix)
    (?<![\w+.-]) ( [a-z][a-z\d+.-]{0,20} ) :// ( [^\s"'<>/?\#]+ ) ( [^\s"'<>?\#]* ) [^\s"'<>]*
    """
)
_HOST = re.compile(
    r"""(?ix)
    \b host \s* = \s* ["']? [^\s"',;)]+ ["']?
    | (?<= \b host\ ) [\w.-]{1,253} : \d+
    | (?<![\w.:/-]) (?= [\w-]* [a-z] )
      (?! \d{4}-\d\d- | \w* (?: tokens? | length | size | limit | line | status | code ) : )
      [a-z\d] [\w-]{0,62} : \d{2,5} (?![\w.:]*\w)
    | (?<![\w.]) (?P<four> \d{1,3} (?: \.\d{1,3} ){3} ) (?: :\d+ )? (?![\w.]*\w)
    | (?<![\w:]) \[? (?P<six> (?: [\da-f]{0,4} : ){2,7} [\da-f]{1,4} ) (?: \] (?: :\d+ )? )?
      (?! \w | :\w )
    | (?<![\w.-]) (?: [\w-]{1,63} \. ){1,8} (?: local | localdomain | internal | intranet
      | lan | corp | home | arpa | svc | test ) \b (?: :\d+ )?
    | \b localhost (?: :\d+ )?
    """
)


def told(text: str, key: str | None = None) -> str:
    """The beginning of `text`, on one line, without `key` and whatever else is a secret."""
    if key:
        text = text.replace(key, CUT)
    text = " ".join(well_formed(text[:MOST_READ]).split())
    text = _URL.sub(_shown_url, text)
    text = _NAMED.sub(rf"\1{CUT}", text)
    text = _BESIDE.sub(rf"\1{CUT}", text)
    text = _SCHEME.sub(lambda found: (found[1] or found[2]) + CUT, text)
    text = _SHAPED.sub(CUT, text)
    text = _HOST.sub(_shown_host, text)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + CUT


def _shown_url(found: re.Match[str]) -> str:
    """A URL of the internet without user and query; others not at all."""
    scheme, place, path = found.groups()
    host = place.rpartition("@")[2]
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if "." not in name or _HOST.fullmatch(name) or not _is_public(name):
        return PLACE
    return f"{scheme}://{host}{path}"


def _shown_host(found: re.Match[str]) -> str:
    number = found["six"] or found["four"]
    return found[0] if number and _is_public(number) else PLACE


def _is_public(name: str) -> bool:
    """Whether a name is no number of a network of one's own; `12:34:56` is no address."""
    try:
        return ipaddress.ip_address(name).is_global
    except ValueError:
        return True
