"""The bible's names: the only ones that a caption may use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

KINDS = ("characters", "villains", "places", "gadgets")
WHO = ("characters", "villains")
# Straight and typographic quotation marks (\u2018 \u2019 single, \u201c \u201d double).
WORD = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*")
SENTENCE_START = re.compile(r"(?:^|[.!?\u2026][\"'\u201d\u2019)]*\s+|[\"\u201c\u2018(]|(?:^|\s)')\s*$")
# Words with which a sentence of a caption may begin; every word that the bible writes in small letters is one too.
_STARTERS = """
a about above across after again against all alone along also although always among an and animated another any
around as at away back balancing barely before behind below beneath beside between beyond big black blue both
bright brown but by calm camera carefully close closer come cut dark day deep distant do down during each eight
either eleven empty every everyone everything exactly extreme eyes far fast few finally first five for four from
front full further gently giant glowing go golden gray great green grey half he hello help her here hey high him
his hold how huge i if in inside instead into is it its just large last late later left light little long look
low many meanwhile medium mid midway more morning most moving my near nearby neither next night nine no nobody
none not nothing now of off oh old on once one only onto open opposite or orange other others our out outside
over overhead part pink please purple quickly quiet red rest right round same second seen seven several she
short shot side silently six slow slowly small so soft some somebody someone something soon sorry still stop
straight suddenly sun sunlight sunlit sunny ten thank thanks that the their them then there these they thick
thin third this those three through tight tiny to together toward towards twelve twice two under underneath
until up upon upside very violet wait warm we well what when where whether which while white who whoever whole
why wide with within without yellow yes yet you young your zoom
"""
STARTERS = frozenset(_STARTERS.split())
PARTICIPLE = re.compile(r"[a-z]{2,}(?:ing|ed|ly)")
# Given names that end like a participle or an adverb: those of the US census of 1990 that are no words, and some more.
_NAMES = """
ahmed alfred amberly aracely ashely ashly beijing beverly billy bradly carly cecily channing charly cherly ching
cicely dolly elly emely emily everly fleming fred golding hamed harding hildred holly irving italy jared karly keely
kelly kemberly kimberely kimberly kymberly lilly lily magaly manfred manning mildred milly mohamed mohammed molly
muhammed neely nelly polly reed reilly sally shelly sherly shirely shirly sicily sterling tilly wally waverly wilfred
willy winfred winifred winnifred
"""
NAMES_LIKE_PARTICIPLES = frozenset(_NAMES.split())


def canonical_names(bible: Mapping[str, Any], kinds: tuple[str, ...] = KINDS) -> dict[str, str]:
    """Return every name and alias of the given kinds with the name of the entry that it means."""
    entries = [entry for kind in kinds for entry in bible.get(kind, ())]
    return {text: entry["name"] for entry in entries for text in (entry["name"], *entry["aliases"])}


def characters_in(text: str, bible: Mapping[str, Any], kinds: tuple[str, ...] = WHO) -> set[str]:
    """Return the bible's names of the characters and villains, or other kinds, that ``text`` names, or by an alias."""
    names = canonical_names(bible, kinds)
    return {names[match] for match in _name_pattern(names).findall(text)}


def unknown_names(text: str, bible: Mapping[str, Any]) -> list[str]:
    """Return the capitalised words of ``text`` that the bible does not have.

    At the start of a sentence a word that captions commonly begin with, or that the bible writes small, is no name.
    """
    rest = _name_pattern(canonical_names(bible)).sub(lambda match: "x" * len(match.group()), text)
    small = _small_words(bible) | {word.group() for word in WORD.finditer(rest) if word.group().islower()}
    return [
        word.group()
        for word in WORD.finditer(rest)
        if word.group()[0].isupper()
        and re.split("['\u2019]", word.group())[0] != "I"
        and not (SENTENCE_START.search(rest, 0, word.start()) and _is_common(word.group().lower(), small))
    ]


def _is_common(word: str, small: set[str]) -> bool:
    first = re.split("[-'\u2019]", word)[0]
    if {word, first} & (STARTERS | small):
        return True
    return first not in NAMES_LIKE_PARTICIPLES and PARTICIPLE.fullmatch(first) is not None


def _small_words(bible: Mapping[str, Any]) -> set[str]:
    texts = []
    for kind in KINDS:
        for entry in bible.get(kind, ()):
            texts += [entry["name"], *entry["aliases"], entry.get("appearance", "")]
    words = {word.group() for text in texts for word in WORD.finditer(text)}
    # A word in the plural or singular of one that is written small is as common as that.
    small = {word for word in words if word.islower()}
    return small | {f"{word}s" for word in small} | {word.removesuffix("s") for word in small if len(word) > 3}


def _name_pattern(names: Mapping[str, str]) -> re.Pattern[str]:
    # The longest first, so that "Big Buck Bunny" is one name and not an alias "Bunny" after two unknown words.
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)")
