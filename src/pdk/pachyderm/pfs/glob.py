"""The glob dialect of Pachyderm (its library `ohmyglob`, separator `/`), by translation to a regular expression.

Used by pfs for GlobFile, GetFile and GetFileTAR, and by pps to split inputs into datums and for `join_on` / `group_by`.

    *  any characters but /      **  any characters      ?  one character but /
    [abc] [!abc] [a-c] [[:alpha:]]  one character         {a,b}  either          \\c  the character c
    (a|b) @(a|b)  either    *(a|b) none or more    +(a|b) one or more    ?(a|b) none or one    !(a|b) anything else

The round groups are captured, numbered by their opening bracket. A pattern is anchored on the whole path, which starts
with `/` and has no `/` at its end; the root `/` is matched by the pattern `/` alone.
"""

import posixpath
import re
from dataclasses import dataclass, field
from functools import cached_property

from pdk.pachyderm.errors import InvalidGlob

MAX_LENGTH = 4096
MAX_DEPTH = 30

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_REFERENCE = re.compile(r"\$(?:(\d+)|\{(\d+)\}|(\$))")


class Glob:
    """One compiled pattern."""

    def __init__(self, pattern: str) -> None:
        """Clean and compile `pattern`. Raises InvalidGlob when it does not parse."""
        if len(pattern) > MAX_LENGTH:
            raise InvalidGlob(f"glob of {len(pattern)} characters is longer than the {MAX_LENGTH} allowed")
        self.pattern = "/" + posixpath.normpath("/" + pattern).lstrip("/")
        self._nodes = _Parser(self.pattern).parse()
        self._regex = re.compile(_regex(self._nodes, True), re.DOTALL)

    @property
    def literal(self) -> str | None:
        """The one path the pattern matches when nothing in it is special, else None."""
        if all(isinstance(node, _Text) and not node.special for node in self._nodes):
            return "".join(node.text for node in self._nodes if isinstance(node, _Text))
        return None

    @cached_property
    def segments(self) -> "tuple[Segment, ...] | None":
        """A matcher for each path element when their number is fixed (no `**`, no `/` in a group); else None."""
        parts: list[list[_Node]] = [[]]
        for node in self._nodes:
            if isinstance(node, _Text) and not node.special and node.text == "/":
                parts.append([])
            elif _may_cross(node):
                return None
            else:
                parts[-1].append(node)
        return tuple(Segment(part) for part in parts[1:] if part)

    def match(self, path: str) -> bool:
        """Tell whether the pattern matches the whole path."""
        return self.captures(path) is not None

    def captures(self, path: str) -> tuple[str, ...] | None:
        """Return what each group matched ("" for an unused one), or None when the path does not match."""
        if path == "/":
            return () if self.pattern == "/" else None
        match = self._regex.fullmatch(path)
        return tuple(group or "" for group in match.groups()) if match else None

    def replace(self, path: str, template: str) -> str:
        """Return `template` with `$1`, `${1}` and `$$` replaced by what the groups matched in `path` (no match: "")."""
        captured = self.captures(path) or ()

        def expand(reference: re.Match[str]) -> str:
            if reference[3]:
                return "$"
            number = int(reference[1] or reference[2])
            return captured[number - 1] if 1 <= number <= len(captured) else ""

        return _REFERENCE.sub(expand, template)


class Segment:
    """What a pattern asks of one path element."""

    def __init__(self, nodes: "list[_Node]") -> None:
        plain = all(isinstance(node, _Text) and not node.special for node in nodes)
        self.literal = "".join(node.text for node in nodes if isinstance(node, _Text)) if plain else None
        self._regex = re.compile(_regex(nodes, False), re.DOTALL)

    def match(self, name: str) -> bool:
        """Tell whether the element may be `name`."""
        return self._regex.fullmatch(name) is not None


@dataclass
class _Text:
    """A literal character, or, when special, the regular expression of `*`, `**`, `?` or a class."""

    text: str
    special: bool = False


@dataclass
class _Group:
    """Alternatives; `kind` is `{` (not captured), `(`, or the sign before the bracket."""

    kind: str
    alternatives: "list[list[_Node]]" = field(default_factory=list)


_Node = _Text | _Group
_ANY, _ANY_DEEP, _ONE = "[^/]*", ".*", "[^/]"


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def parse(self) -> list[_Node]:
        nodes, end = self._sequence("")
        if end:
            raise self._error(f"unmatched {end!r}")
        return nodes

    def _error(self, reason: str) -> InvalidGlob:
        return InvalidGlob(f"invalid glob {self._pattern!r}: {reason} at character {self._at}")

    def _sequence(self, ends: str) -> tuple[list[_Node], str]:
        """Parse up to a character of `ends` or a bracket that nothing opened; return the nodes and that character."""
        nodes: list[_Node] = []
        while self._at < len(self._pattern):
            char = self._pattern[self._at]
            self._at += 1
            if char in ends or char in ")}":
                return nodes, char
            nodes.append(self._node(char))
        return nodes, ""

    def _node(self, char: str) -> _Node:
        if char in "@*+?!(" and (char == "(" or self._peek() == "("):
            self._at += char != "("
            return self._group(char, "|", ")")
        if char == "{":
            return self._group(char, ",", "}")
        if char == "[":
            return _Text(self._class(), special=True)
        if char == "*":
            if self._peek() == "*":
                self._at += 1
                return _Text(_ANY_DEEP, special=True)
            return _Text(_ANY, special=True)
        if char == "?":
            return _Text(_ONE, special=True)
        if char == "\\":
            return _Text(self._next("an escaped character"))
        return _Text(char)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self, wanted: str) -> str:
        char = self._peek()
        if not char:
            raise self._error(f"{wanted} is missing")
        self._at += 1
        return char

    def _group(self, kind: str, separator: str, close: str) -> _Group:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} groups in each other")
        group = _Group(kind)
        while True:
            nodes, end = self._sequence(separator + close)
            group.alternatives.append(nodes)
            if end == close:
                self._depth -= 1
                return group
            if end != separator:
                raise self._error(f"{close!r} is missing")

    def _class(self) -> str:
        negated = self._peek() in ("!", "^")
        self._at += negated
        body = ""
        while (char := self._next("']'")) != "]" or not body:
            body += self._class_item(char)
        return f"(?!/)[{'^' if negated else ''}{body}]"

    def _class_item(self, char: str) -> str:
        if char == "[" and self._peek() == ":":
            end = self._pattern.find(":]", self._at)
            name = self._pattern[self._at + 1 : end]
            if end < 0 or name not in _CLASSES:
                raise self._error(f"unknown character class {name!r}")
            self._at = end + 2
            return _CLASSES[name]
        if char == "\\":
            char = self._next("an escaped character")
        if self._peek() != "-" or self._pattern[self._at + 1 : self._at + 2] in ("]", ""):
            return re.escape(char)
        self._at += 1
        last = self._next("the end of a range")
        if last < char:
            raise self._error(f"range {char}-{last} is empty")
        return f"{re.escape(char)}-{re.escape(last)}"


def _may_cross(node: _Node) -> bool:
    """Tell whether what a node matches may hold a `/`."""
    if isinstance(node, _Text):
        return node.text == (_ANY_DEEP if node.special else "/")
    return any(_may_cross(inner) for nodes in node.alternatives for inner in nodes)


def _regex(nodes: list[_Node], capture: bool) -> str:
    """Return the regular expression of a sequence; `capture` tells whether round groups are captured."""
    parts = []
    for position, node in enumerate(nodes):
        if isinstance(node, _Text):
            parts.append(node.text if node.special else re.escape(node.text))
        elif node.kind == "!":
            # Not one of the alternatives, given what follows: the rest is looked at without its captures.
            rest = _regex(nodes[position + 1 :], False)
            parts.append(_wrap(f"(?!{_alternatives(node, False)}{rest}\\Z){_ANY}", capture))
        else:
            parts.append(_group_regex(node, capture))
    return "".join(parts)


def _group_regex(group: _Group, capture: bool) -> str:
    inner = _alternatives(group, capture)
    if group.kind == "{":
        return inner
    sign = group.kind if group.kind in "*+?" else ""
    return _wrap(f"{inner}{sign}", capture)


def _alternatives(group: _Group, capture: bool) -> str:
    return "(?:" + "|".join(_regex(nodes, capture) for nodes in group.alternatives) + ")"


def _wrap(regex: str, capture: bool) -> str:
    return f"({regex})" if capture else f"(?:{regex})"
