"""What one can rely on of variants: one episode in two versions is found, two episodes are not confused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st
from small_films import join_sounds
from test_shots import PARAMETERS as SHOTS_PARAMETERS

from reelgraph.files import read_json, write_json
from reelgraph.media.fingerprints import SOUND_RATE, distances, pdq, sound_signs
from reelgraph.media.matches import SAME_BITS, longest_ascent, same_shots
from reelgraph.media.variants import REVIEW_BITS, compare
from reelgraph.stages import fingerprints, shots, variants

RATE = 44100


def scene(number: int, size: tuple[int, int], shift: float = 0.0) -> np.ndarray:
    """Return a picture of many shapes that ``number`` alone decides, RGB [height, width, 3], moved by ``shift``."""
    random = np.random.default_rng(number)
    canvas = np.full((360, 640, 3), random.integers(40, 200, 3), np.uint8)
    for _ in range(12):
        centre = (int(random.integers(0, 640) + shift), int(random.integers(0, 360)))
        cv2.circle(canvas, centre, int(random.integers(20, 90)), random.integers(0, 255, 3).tolist(), -1)
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)


def card(text: str, size: tuple[int, int]) -> np.ndarray:
    canvas = np.full((360, 640, 3), (30, 60, 110), np.uint8)
    cv2.putText(canvas, text, (40, 190), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (255, 255, 255), 3, cv2.LINE_AA)
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)


def voice(seed: int, seconds: float) -> np.ndarray:
    """Return noise whose colour changes like speech, int16 mono."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(
        np.sin(2 * np.pi * random.uniform(200, 2500) * time + 6 * np.sin(2 * np.pi * random.uniform(0.5, 4) * time))
        for _ in range(8)
    )
    return (tones / 8 * 9000).astype(np.int16)


def write(path: Path, plan: Sequence[int | str], size: tuple[int, int], crf: int, seed: int, length: int = 30) -> Path:
    """Write a film whose shots are scenes, or title cards; ``seed`` decides the sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.options = {"preset": "ultrafast", "crf": str(crf)}
        audio = container.add_stream("flac", rate=RATE)
        audio.layout = "mono"
        frame = av.AudioFrame.from_ndarray(voice(seed, len(plan) * length / 24)[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for packet in (*audio.encode(frame), *audio.encode(None)):
            container.mux(packet)
        for what in plan:
            for number in range(length):
                image = card(what, size) if isinstance(what, str) else scene(what, size, number / 3)
                for packet in video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")):
                    container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An English master, its French version, a copy, another episode with the same opening, and a trailer."""
    folder = tmp_path_factory.mktemp("masters")
    story = list(range(10, 22))
    plans: dict[str, tuple[list[int | str], tuple[int, int], int, int]] = {
        "english": ([1, 2, 3, 4, 5, "The Squirrels", *story], (320, 180), 16, 1),
        "french": ([1, 2, 3, 4, 5, "Les ecureuils", *story], (256, 144), 28, 2),
        "copy": ([1, 2, 3, 4, 5, "The Squirrels", *story], (256, 144), 28, 1),
        "other": ([1, 2, 3, 4, 5, "The Rain", *range(40, 52)], (320, 180), 16, 3),
        "trailer": ([60, 12, 61, 17, 10], (320, 180), 20, 4),
    }
    return {name: write(folder / f"{name}.mkv", *plan) for name, plan in plans.items()}


def test_the_sound_in_the_episode_s_language_is_what_is_compared(
    masters: dict[str, Path], run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]], tmp_path: Path
) -> None:
    english, other = masters["english"], masters["other"]
    sounds = [(english, "eng", Disposition(0)), (other, "fre", Disposition.default)]
    signs = []
    for master in (english, join_sounds(tmp_path / "two.mkv", sounds), join_sounds(tmp_path / "fr.mkv", sounds[::-1])):
        inputs = probed(master)
        inputs["shots"] = run_stage(shots.STAGE, inputs, SHOTS_PARAMETERS)
        out = run_stage(fingerprints.STAGE, inputs, {"frames_per_shot": 3, "flat_sharpness": 2.0})
        signs.append(read_json(out / "fingerprints.json")["sound"]["signs"])
    assert signs[0] == signs[1] == signs[2] and signs[0]


@pytest.fixture
def compared(
    masters: dict[str, Path], run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]], tmp_path: Path
) -> dict[str, Any]:
    """The whole variants.json of these masters, by pair of names."""
    prints, texts = {}, {}
    for name, master in masters.items():
        inputs: dict[str, Path] = probed(master)
        inputs["shots"] = run_stage(shots.STAGE, inputs, SHOTS_PARAMETERS)
        prints[name] = run_stage(fingerprints.STAGE, inputs, {"frames_per_shot": 3, "flat_sharpness": 2.0})
        texts[name] = tmp_path / f"texts-{name}"
        texts[name].mkdir()
        written = {"english": "The squirrels of summer", "french": "L'été des écureuils"}.get(name)
        box = {"text": written, "score": 1.0, "x": 0.1, "y": 0.4, "width": 0.5, "height": 0.1}
        sample = {"frame": 160, "start": 150, "end": 180, "area": 0.05, "boxes": [box] if written else []}
        write_json(texts[name] / "texts.json", {"frames": 540, "samples": [sample]})
    parameters = {"languages": ["en", "fr"], "title_seconds": 90, "recurring_seconds": 5}
    out = run_stage(variants.STAGE, {"fingerprints": prints, "texts": texts}, parameters)
    found = read_json(out / "variants.json")
    found["pairs"] = {frozenset((pair["first"], pair["second"])): pair for pair in found["pairs"]}
    return found


def test_versions_copies_trailers_and_other_episodes_are_told_apart(compared: dict[str, Any]) -> None:
    pairs = compared["pairs"]
    verdicts = {tuple(sorted(names)): pair["verdict"] for names, pair in pairs.items()}
    assert verdicts["english", "french"] == "variant"
    assert verdicts["copy", "english"] == "same"
    assert verdicts["english", "other"] == verdicts["french", "other"] == "needs-a-person"
    # Nothing of the trailer is in the other episode.
    assert ("other", "trailer") not in verdicts
    assert compared["nothing_alike"] == 10 - len(verdicts) == 1
    # What differs is the title card, and the sound says that it is a dub and no copy.
    french = pairs[frozenset(("english", "french"))]
    (card_run,) = [run for run in french["runs"] if not run["same"]]
    assert card_run["first"] == card_run["second"] == [150, 180]
    assert french["same_sound"] < 0.2
    assert pairs[frozenset(("english", "copy"))]["same_sound"] > 0.95
    # The trailer is mostly out of the episode, the episode hardly in the trailer.
    trailer = pairs[frozenset(("english", "trailer"))]
    assert trailer["verdict"] == "needs-a-person"
    inside = dict(zip((trailer["first"], trailer["second"]), trailer["contained"], strict=True))
    assert inside["trailer"] == pytest.approx(0.6, abs=0.05)
    assert inside["english"] == pytest.approx(3 / 18, abs=0.05)
    assert compared["episodes"]["english"]["text_language"] == "en"
    assert compared["episodes"]["french"]["text_language"] == "fr"
    assert compared["episodes"]["other"]["text_language"] is None
    # The opening is kept once.
    (opening,) = [
        entry for entry in compared["recurring"] if entry["keep"] == {"episode": "copy", "start": 0, "end": 150}
    ]
    assert opening["drop"] == [{"episode": "other", "start": 0, "end": 150}]


@pytest.mark.parametrize("size", [(640, 360), (160, 90), (320, 240)])
def test_a_picture_is_known_again_at_another_size(size: tuple[int, int]) -> None:
    def grey(number: int, size: tuple[int, int]) -> np.ndarray:
        picture = cv2.cvtColor(scene(number, size), cv2.COLOR_RGB2GRAY)
        return cv2.resize(picture, (256, 144), interpolation=cv2.INTER_AREA)

    originals = [pdq(grey(number, (320, 180))) for number in range(12)]
    apart = distances(originals, [pdq(grey(number, size)) for number in range(12)])
    assert np.diag(apart).max() <= SAME_BITS
    assert apart[~np.eye(12, dtype=bool)].min() > REVIEW_BITS


def test_sound_is_known_again_and_other_sound_is_not() -> None:
    time = np.arange(SOUND_RATE * 8) / SOUND_RATE
    pieces = [
        (6000 * np.sin(2 * np.pi * (300 + way * 200 * np.sin(2 * np.pi * time)) * time)).astype(np.int16)
        + np.random.default_rng(seed).integers(-20, 20, len(time)).astype(np.int16)
        for way, seed in ((1, 1), (1, 2), (-3, 3))
    ]
    signs = [np.array(list(sound_signs(np.array_split(piece, 7))), np.uint16) for piece in pieces]
    apart = [np.unpackbits((signs[0] ^ other).view(np.uint8)).mean() for other in signs[1:]]
    assert apart[0] < 0.3 < apart[1]


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20))
def test_aligned_shots_are_the_same_ascend_and_are_the_most(same: set[tuple[int, int]]) -> None:
    pairs = longest_ascent(same)
    assert set(pairs) <= same
    for before, after in pairwise(pairs):
        assert before[0] < after[0] and before[1] < after[1]
    # The longest list that ends at each pair, by trying every pair before it.
    most: dict[tuple[int, int], int] = {}
    for pair in sorted(same):
        most[pair] = 1 + max((most[other] for other in most if other[0] < pair[0] and other[1] < pair[1]), default=0)
    assert len(pairs) == max(most.values(), default=0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_runs_cover_both_episodes_from_start_to_end(first: list[int], second: list[int]) -> None:
    codes = [np.random.default_rng(number).bytes(32).hex() for number in range(6)]

    def episode(plan: list[int]) -> dict[str, Any]:
        cut = [{"start": at * 10, "end": at * 10 + 10, "pdq": [codes[number]]} for at, number in enumerate(plan)]
        sound = {"seconds": 0.25, "signs": [1] * len(plan)}
        return {"fps": 24.0, "frames": len(plan) * 10, "shots": cut, "sound": sound}

    sides = episode(first), episode(second)
    alike = {(row, column) for row, one in enumerate(first) for column, other in enumerate(second) if one == other}
    found = compare(*sides, alike)["runs"]
    for name, side in zip(("first", "second"), sides, strict=True):
        bounds = [run[name] for run in found]
        if bounds:
            assert [start for start, _ in bounds] == [0, *(end for _, end in bounds[:-1])]
            assert bounds[-1][1] == side["frames"]


def made_up(random: np.random.Generator, plan: Sequence[bytes], noise: int) -> dict[str, Any]:
    """Return fingerprints.json of an episode whose shots have the given pictures, each ``noise`` bits away."""
    shots_found = []
    for at, picture in enumerate(plan):
        bits = np.unpackbits(np.frombuffer(picture, np.uint8))
        bits[random.choice(256, noise, replace=False)] ^= 1
        code = np.packbits(bits).tobytes().hex()
        shots_found.append({"start": at * 48, "end": at * 48 + 48, "pdq": [code]})
    sound = {"seconds": 0.25, "signs": random.integers(0, 1 << 16, len(plan) * 8).tolist()}
    told = {"sha256": "0" * 64, "title": "t", "language": "en", "fps": 24.0, "frames": len(plan) * 48}
    return {**told, "shots": shots_found, "sound": sound}


def test_a_hundred_episodes_with_their_variants_are_told_apart(run_stage: Callable[..., Path], tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    opening = [random.bytes(32) for _ in range(6)]
    prints: dict[str, dict[str, Any]] = {}
    for number in range(90):
        story = [random.bytes(32) for _ in range(100)]
        prints[f"e{number:03}"] = made_up(random, [*opening, *story], 4)
        if number < 9:
            # Another title card, a scene that is cut out, another size and bit rate.
            french = [*opening, random.bytes(32), *story[1:40], *story[44:]]
            prints[f"e{number:03}-fr"] = made_up(random, french, 10)
    prints["trailer"] = made_up(random, [random.bytes(32), *story[10:20:3], random.bytes(32)], 10)
    for name, found in prints.items():
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "fingerprints.json", found)
    inputs = {"fingerprints": {name: tmp_path / name for name in prints}, "texts": {}}
    out = run_stage(variants.STAGE, inputs, {"languages": ["en", "fr"], "title_seconds": 90, "recurring_seconds": 5})
    found = read_json(out / "variants.json")
    verdicts = {(pair["first"], pair["second"]): pair["verdict"] for pair in found["pairs"]}
    variant = {pair for pair, verdict in verdicts.items() if verdict == "variant"}
    assert variant == {(f"e{number:03}", f"e{number:03}-fr") for number in range(9)}
    assert {pair for pair, verdict in verdicts.items() if verdict == "needs-a-person"} == {("e089", "trailer")}
    assert "same" not in verdicts.values()
    assert len(found["pairs"]) + found["nothing_alike"] == 100 * 99 // 2
    (run,) = [
        run
        for pair in found["pairs"]
        if pair["first"] == "e000" and pair["second"] == "e000-fr"
        for run in pair["runs"]
        if run["first"][0] > 7 * 48 and not run["same"]
    ]
    assert run["first"] == [46 * 48, 50 * 48]
    # The opening is kept in one episode, and dropped in every other one.
    kept = [entry for entry in found["recurring"] if entry["keep"] == {"episode": "e000", "start": 0, "end": 288}]
    assert len(kept) == 1 and {entry["episode"] for entry in kept[0]["drop"]} >= {
        f"e{number:03}" for number in range(1, 90)
    }


def test_the_index_finds_what_comparing_all_with_all_finds() -> None:
    random = np.random.default_rng(3)
    pictures = [random.bytes(32) for _ in range(40)]
    episodes = {
        f"e{number}": made_up(random, [pictures[at] for at in random.integers(0, 40, 25)], number)
        for number in range(8)
    }
    found = same_shots(episodes)
    names = sorted(episodes)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            sides = [[shot["pdq"][0] for shot in episodes[name]["shots"]] for name in (one, other)]
            near = {(int(row), int(column)) for row, column in np.argwhere(distances(*sides) <= SAME_BITS)}
            assert found.get((one, other), set()) == near


def test_pictures_that_are_not_alike_are_not_compared() -> None:
    random = np.random.default_rng(5)
    episodes = {f"e{number}": made_up(random, [random.bytes(32) for _ in range(100)], 0) for number in range(100)}
    assert same_shots(episodes) == {}
