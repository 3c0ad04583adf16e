"""Which audio stream of a master is the episode's: one file may hold several languages, mixes and commentaries."""

from __future__ import annotations

from pathlib import Path

import langcodes
from av import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from reelgraph.errors import StageError

# Sound that goes with an episode's own: somebody tells what is seen or how it was made, or nobody speaks at all.
ASIDE = (
    Disposition.comment
    | Disposition.descriptions
    | Disposition.visual_impaired
    | Disposition.clean_effects
    | Disposition.karaoke
)


def choose_sound(container: InputContainer, path: Path, language: str) -> int:
    """Return which of a master's audio streams, counted from 0, is the episode in ``language``, an ISO 639 code.

    A single stream is the episode's whatever it says of itself, for such labels are often wrong. Of several it is one
    that says this language, else one that says none: the one that players start with, and a commentary only where there
    is nothing else. A StageError names the languages where all of them are other ones.
    """
    streams = container.streams.audio
    if not streams:
        raise StageError(f"{path.name}: has no audio stream, the episode is silent; give a master with sound")
    said = [_language(stream.language) for stream in streams]
    wanted = [number for number, one in enumerate(said) if len(streams) == 1 or one == _language(language)]
    candidates = wanted or [number for number, one in enumerate(said) if one is None]
    if not candidates:
        raise StageError(
            f"{path.name}: its {len(streams)} audio streams are in {', '.join(map(str, said))}, and the manifest says "
            f"'{language}'; correct the manifest's language, or remux the master with that of its sound"
        )
    return min(candidates, key=lambda number: _rank(streams[number]))


def _rank(stream: AudioStream) -> tuple[bool, bool]:
    return bool(stream.disposition & ASIDE), Disposition.default not in stream.disposition


def _language(tag: str | None) -> str | None:
    """Return a tag's primary language in ISO 639-1 where it has one there: files say 'fre' or 'fra', manifests 'fr'."""
    try:
        return langcodes.get(tag).language if tag else None
    except langcodes.LanguageTagError:
        return None
