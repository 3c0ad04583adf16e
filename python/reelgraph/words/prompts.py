"""What the captioning model is asked, and what is wrong with what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reelgraph.text.captions import caption_problems
from reelgraph.text.names import WHO, canonical_names, characters_in
from reelgraph.words.answers import Answer, parse

FIELDS = {"caption": str, "characters": list}
LONGEST_CONTEXT = 600


@dataclass(frozen=True)
class Context:
    """What is known of a clip without looking at it."""

    scenes: Sequence[Mapping[str, Any]]
    spoken: Sequence[str]
    lines: Sequence[str]
    before: str
    after: str

    @property
    def characters(self) -> set[str]:
        """Everyone whom a scene of the clip has."""
        return {name for scene in self.scenes for name in scene["characters"]}


def context_of(clip: Mapping[str, Any], scenes: Sequence[Mapping[str, Any]]) -> Context:
    """Return the context of a clip from the scenes and the shot that hold its frames."""
    own = [scene for scene in scenes if scene["start"] < clip["end"] and clip["start"] < scene["end"]]
    shots = [shot for scene in scenes for shot in scene["shots"] if shot["shot"] == clip["shot"]]
    lines = [line for shot in shots for line in shot["lines"]]
    said = [f"{line['speaker'] or 'somebody'}: {line['text']}" for line in lines]
    before, after = (shots[0]["before"], shots[0]["after"]) if shots else ("", "")
    # A line that goes on over a cut may be quoted whole.
    spoken = [before, *(line["text"] for line in lines), after] if any(line["crosses_cut"] for line in lines) else None
    return Context(own, spoken or [line["text"] for line in lines], said, before, after)


def question(
    context: Context, bible: Mapping[str, Any], minimum_words: int, maximum_words: int, complaint: Sequence[str] = ()
) -> str:
    """Return the question about a clip; ``complaint`` is what was wrong with the answer before."""
    present = [entry for kind in WHO for entry in bible[kind] if entry["name"] in context.characters]
    scene = context.scenes[0] if context.scenes else {"place": None, "summary": "", "so_far": ""}
    wanted = (entry for entry in bible["places"] if scene["place"] in (None, entry["name"]))
    places = [f"- {entry['name']}: {entry['appearance']}" for entry in wanted]
    things = [f"- {entry['name']}: {entry['appearance']}" for entry in bible["gadgets"]]
    known = {
        "Who may be seen": [_describe(entry) for entry in present],
        "Where it may be": places,
        "Things that may be seen": things,
        "What happens in the scene": [scene["summary"]] if scene["summary"] else [],
        "What happened before": [scene["so_far"][-LONGEST_CONTEXT:]] if scene["so_far"] else [],
        "Said in this shot": [f"- {line}" for line in context.lines],
        "Said in the shot before": [f"- {context.before}"] if context.before else [],
        "Said in the shot behind": [f"- {context.after}"] if context.after else [],
    }
    parts = [f"{heading}:\n" + "\n".join(lines) for heading, lines in known.items() if lines]
    rules = (
        f"Write one caption of {minimum_words} to {maximum_words} words for this clip of an animated series: who does "
        "what where, then framing and light. Say only what the frames show. Use a name only if you recognise the "
        "character by its description above, otherwise say what it looks like; use no other names. Do not begin with "
        "'The video' or the like, do not quote anything that is not in the lines above, do not guess at feelings or "
        "intentions.\n"
        'Answer with one JSON object and nothing else: {"caption": "…", "characters": ["names that you used"]}'
    )
    if complaint:
        parts.append("Your last answer could not be used: it " + "; it ".join(complaint) + ".")
    return "\n\n".join([*parts, rules])


def judge(
    answer: Answer, context: Context, bible: Mapping[str, Any], minimum_words: int, maximum_words: int
) -> tuple[str, list[str]]:
    """Return the caption of an answer and what is wrong with it, one clause each; none where it may be used."""
    parsed = parse(answer, FIELDS)
    if parsed.failure:
        return "", [parsed.because or parsed.failure]
    caption, named = parsed.fields["caption"], parsed.fields["characters"]
    if not caption.strip():
        return "", ["has an empty caption"]
    problems = caption_problems(caption, bible, minimum_words, maximum_words, context.spoken)
    names = canonical_names(bible, WHO)
    # A list holds whatever the model puts there, mappings too, which are no key of any.
    if strangers := [str(name) for name in named if not isinstance(name, str) or name not in names]:
        problems.append(f"lists '{strangers[0]}' among the characters, whom the bible does not have")
    shown = characters_in(caption, bible) | {names[name] for name in named if isinstance(name, str) and name in names}
    if absent := sorted(shown - context.characters):
        problems.append(f"shows {absent[0]}, whom its scene does not have")
    return caption, problems


def _describe(entry: Mapping[str, Any]) -> str:
    also = f" (also {', '.join(entry['aliases'])})" if entry["aliases"] else ""
    outfits = f" May wear: {'; '.join(entry['outfits'])}." if entry["outfits"] else ""
    return f"- {entry['name']}{also}: {entry['appearance']}{outfits}"
