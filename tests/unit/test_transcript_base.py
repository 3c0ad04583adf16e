"""What transcript-base promises about sound, models and what it hears.

The model has Whisper's real format and runs its real code on a few random weights: it loads, encodes and decodes in
milliseconds, and babbles in loops, which is what must be dropped and kept with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from ctranslate2.specs import whisper_spec
from faster_whisper.transcribe import Segment, Word
from hypothesis import given
from hypothesis import strategies as st
from small_films import join_sounds
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from reelgraph.errors import StageError
from reelgraph.stages import transcript_base
from reelgraph.stages.transcript_base import (
    STAGE,
    Parameters,
    load_model,
    speech_in,
    threads_for,
    transcribe,
    workers_for,
)
from reelgraph.text.audio import read_audio
from reelgraph.text.transcript import lines_of, reason_to_drop, repeats_itself, sentences_of, sort_out
from reelgraph.words import windows

WIDTH = 16
PARAMETERS: dict[str, Any] = {
    "language": "en",
    "beam_size": 2,
    "compute_type": "float32",
    "device": "cpu",
    "cpu_threads": 2,
    "batch_size": 1,
    "word_delay_seconds": 0.0,
    "voice_activity_threshold": 0.5,
    "minimum_silence_seconds": 2.0,
    "speech_padding_seconds": 0.4,
    "no_speech_threshold": 0.6,
    "log_probability_threshold": -1.0,
    "compression_ratio_threshold": 2.4,
    "repetition_limit": 4,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a Whisper of one layer, random weights and the bytes as its vocabulary."""
    directory = tmp_path_factory.mktemp("whisper")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["endoftext", "startoftranscript", "translate", "transcribe"]
    special += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    tokens = [*letters, *(f"<|{name}|>" for name in [*special, *(f"{step * 0.02:.2f}" for step in range(1501))])]
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(tokens[len(letters) :])
    tokenizer.save(str(directory / "tokenizer.json"))

    generator = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) * 0.3).astype(np.float32)

    def fill(spec: Any, outputs: int, inputs: int) -> None:
        spec.weight, spec.bias = weights(outputs, inputs), weights(outputs)

    spec = whisper_spec.WhisperSpec(1, 2, 1, 2)
    encoder, decoder = spec.encoder, spec.decoder
    for convolution, channels in ((encoder.conv1, 80), (encoder.conv2, WIDTH)):
        convolution.weight, convolution.bias = weights(WIDTH, channels, 3), weights(WIDTH)
    encoder.position_encodings.encodings = weights(1500, WIDTH)
    decoder.position_encodings.encodings = weights(448, WIDTH)
    decoder.embeddings.weight = decoder.projection.weight = weights(len(tokens), WIDTH)
    cross = decoder.layer[0].attention
    for layer in (encoder.layer[0], decoder.layer[0]):
        fill(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
        fill(layer.self_attention.linear[1], WIDTH, WIDTH)
        fill(layer.ffn.linear_0, 4 * WIDTH, WIDTH)
        fill(layer.ffn.linear_1, WIDTH, 4 * WIDTH)
    for linear, outputs in zip(cross.linear, (WIDTH, 2 * WIDTH, WIDTH), strict=True):
        fill(linear, outputs, WIDTH)
    parts = (
        encoder,
        decoder,
        cross,
        *(part for layer in (encoder.layer[0], decoder.layer[0]) for part in (layer.self_attention, layer.ffn)),
    )
    for part in parts:
        part.layer_norm.gamma, part.layer_norm.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    spec.register_vocabulary(tokens)
    spec.config.alignment_heads = [[0, 0]]
    spec.config.suppress_ids = spec.config.suppress_ids_begin = spec.config.lang_ids = []
    spec.validate()
    spec.save(str(directory))
    return directory


def write_media(path: Path, samples: np.ndarray | None, picture: bool = False, sound_after: float = 0.0) -> Path:
    """Write 16 kHz mono sound, a grey picture, or both with the sound ``sound_after`` seconds later."""
    with av.open(path, "w") as container:
        if picture:
            video = container.add_stream("mpeg4", rate=24)
            video.width = video.height = 32
        if samples is not None:
            audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        if picture:
            for _ in range(24):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 128, np.uint8))
                container.mux(video.encode(frame))
            container.mux(video.encode())
        container.start_encoding()
        if samples is not None and len(samples):
            sound = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
            sound.sample_rate, sound.pts = 16000, round(sound_after * 16000)
            container.mux(audio.encode(sound))
            container.mux(audio.encode())
    return path


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.2, 0.2, round(seconds * 16000)).astype(np.float32)


def build(tmp_path: Path, master: Path, model: Path, name: str = "out", **changes: Any) -> dict[str, Any]:
    source, out = tmp_path / f"{name}-source", tmp_path / name
    for directory in (source, out):
        directory.mkdir()
    (source / "probe.json").write_text(
        json.dumps({"episode": "smoke", "language": "en-GB", "audio": [{"seconds": 240}], "sound_stream": 0})
    )
    STAGE.execute({"master": master, "source": source, "model": model}, {**PARAMETERS, **changes}, out)
    return json.loads((out / "transcript.json").read_text())


def test_sound_without_speech_gives_an_empty_transcript(tmp_path: Path, model: Path) -> None:
    quiet = write_media(tmp_path / "quiet.wav", np.zeros(32000, np.float32))
    assert build(tmp_path, quiet, model) == {"segments": [], "dropped": []}


def test_empty_audio_stream_gives_an_empty_transcript(tmp_path: Path, model: Path) -> None:
    assert build(tmp_path, write_media(tmp_path / "empty.wav", noise(0.0)), model) == {"segments": [], "dropped": []}


def test_babble_is_dropped_and_kept_with_its_reason(tmp_path: Path, model: Path) -> None:
    master = write_media(tmp_path / "noise.wav", noise(3.0))
    transcript = build(tmp_path, master, model, voice_activity_threshold=0.0)
    assert transcript["segments"] == []
    assert transcript["dropped"]
    assert {entry["reason"] for entry in transcript["dropped"]} <= {"compression", "repetition"}


def test_two_runs_give_the_same_bytes(tmp_path: Path, model: Path) -> None:
    master = write_media(tmp_path / "noise.wav", noise(3.0))
    lenient = {"voice_activity_threshold": 0.0, "compression_ratio_threshold": 99.0, "repetition_limit": 500}
    first = build(tmp_path, master, model, "first", **lenient)
    second = build(tmp_path, master, model, "second", **lenient)
    assert first["segments"]
    assert json.dumps(first) == json.dumps(second)


# Calls everything speech and believes every word.
LENIENT = {
    **{"voice_activity_threshold": 0.0, "compression_ratio_threshold": 999.0, "log_probability_threshold": -999.0},
    **{"repetition_limit": 500},
}
RATE = 16000


@pytest.mark.parametrize("batch_size", [1, 4])
def test_speech_that_never_stops_is_heard_to_its_end(tmp_path: Path, model: Path, batch_size: int) -> None:
    master = write_media(tmp_path / "noise.wav", noise(70.0))
    transcript = build(tmp_path, master, model, batch_size=batch_size, **LENIENT)
    assert max(line["end"] for line in transcript["segments"]) > 60


def test_batch_holds_all_speech_in_windows_of_at_most_thirty_seconds() -> None:
    parts = speech_in(noise(70.0), Parameters(**{**PARAMETERS, **LENIENT, "batch_size": 4}))
    stretches = [stretch for part in parts for stretch in part]
    assert (stretches[0]["start"], stretches[-1]["end"]) == (0, 70 * RATE)
    assert all(one["end"] == other["start"] for one, other in pairwise(stretches))
    assert all(sum(one["end"] - one["start"] for one in part) <= 30 * RATE for part in parts)


def test_transcript_is_the_same_however_many_threads_hear_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript_base, "SMALL_MODEL_BYTES", 0)
    parts = [[{"start": start * RATE, "end": (start + 3) * RATE}] for start in range(0, 50, 10)]
    heard = []
    for threads, workers in ((1, 1), (3, 3), (3, 1)):
        parameters = Parameters(**{**PARAMETERS, "cpu_threads": threads})
        heard.append(transcribe(load_model(model, parameters, workers), noise(50.0), parts, parameters, workers))
    assert [segment.words for segment in heard[0]] == [segment.words for segment in heard[1]]
    assert [segment.words for segment in heard[0]] == [segment.words for segment in heard[2]]
    assert len({round(segment.words[0].start) // 10 for segment in heard[0] if segment.words}) == len(parts)


@pytest.mark.parametrize(
    ("seconds", "device", "threads", "workers"),
    [
        (80, "cpu", 2, 1),
        (480, "cpu", 2, 2),
        (480, "cpu", 16, 4),
        (1320, "cuda", 2, 1),
        (0, "cpu", 2, 1),
    ],
)
def test_long_episode_is_heard_by_as_many_workers_as_it_has_windows_for(
    seconds: float, device: str, threads: int, workers: int
) -> None:
    assert workers_for(seconds, Parameters(**{**PARAMETERS, "device": device, "cpu_threads": threads})) == workers


@pytest.mark.parametrize(("size", "threads"), [(75_537_502, 1), (145_000_000, 4)])
def test_one_thread_hears_a_window_of_a_small_model_and_several_that_of_a_large_one(
    tmp_path: Path, size: int, threads: int
) -> None:
    with (tmp_path / "model.bin").open("wb") as file:
        file.truncate(size)
    parameters = Parameters(**{**PARAMETERS, "cpu_threads": 8})
    assert threads_for(tmp_path, parameters, 2) == threads


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_word_stays_with_the_speech_that_it_was_heard_in(model: Path, batch_size: int) -> None:
    parameters = Parameters(**{**PARAMETERS, "batch_size": batch_size})
    parts = [[{"start": start * RATE, "end": start * RATE + 3 * RATE // 2}] for start in (0, 60, 120)]
    heard = transcribe(load_model(model, parameters, 2), noise(122.0), parts, parameters, 2)
    words = [word for segment in heard for word in segment.words]
    assert {int(word.start) // 60 for word in words} == {0, 1, 2}
    # Whisper's windows count in whole seconds.
    assert all(word.start % 60 <= word.end % 60 <= 2.0 for word in words)


def test_master_without_audio_stream_is_named(tmp_path: Path, model: Path) -> None:
    master = write_media(tmp_path / "mute.mkv", None, picture=True)
    with pytest.raises(
        StageError, match=r"mute\.mkv: has 0 audio streams, and its probe\.json says that number 0 is heard"
    ):
        build(tmp_path, master, model)


def test_file_that_is_no_media_is_named(tmp_path: Path, model: Path) -> None:
    master = tmp_path / "notes.mp4"
    master.write_bytes(b"not a film" * 100)
    with pytest.raises(StageError, match=r"notes\.mp4: sound cannot be decoded"):
        build(tmp_path, master, model)


def test_the_stream_that_the_probe_names_is_heard(film: Callable[..., Path], tmp_path: Path) -> None:
    loud, quiet = (film([("moving", 24)], sound=sound) for sound in ("tone", "silence"))
    sounds = [(quiet, "fre", Disposition.default), (loud, "eng", Disposition(0))]
    heard, _ = read_audio(join_sounds(tmp_path / "two.mp4", sounds), 1)
    assert np.array_equal(heard, read_audio(loud, 0)[0]) and heard.any()


def test_sound_that_starts_after_the_picture_keeps_its_place(tmp_path: Path) -> None:
    samples, start = read_audio(write_media(tmp_path / "late.mkv", noise(0.5), picture=True, sound_after=0.25), 0)
    assert len(samples) == 8000
    assert start == pytest.approx(0.25, abs=0.002)


def test_stereo_at_another_rate_becomes_mono_at_16_khz(tmp_path: Path) -> None:
    with av.open(tmp_path / "stereo.wav", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="stereo")
        tone = (np.sin(np.arange(48000) / 48000 * 440 * 2 * np.pi) * 16000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    samples, start = read_audio(tmp_path / "stereo.wav", 0)
    assert abs(len(samples) - 16000) < 32
    assert start == 0
    assert 0.45 < np.abs(samples).max() < 0.55


@pytest.mark.parametrize("layouts", [("mono", "stereo"), ("stereo", "mono")])
def test_sound_that_changes_between_mono_and_stereo_is_heard_throughout(
    tmp_path: Path, layouts: tuple[str, str]
) -> None:
    for number, layout in enumerate(layouts):
        with av.open(tmp_path / f"{number}.aac", "w", format="adts") as container:
            stream = container.add_stream("aac", rate=44100, layout=layout)
            tone = np.sin(np.arange(88200) / 44100 * 440 * (number + 1) * 2 * np.pi).astype(np.float32) / 2
            channels = np.stack([tone] * (number + 1 if layouts[0] == "mono" else 2 - number))
            frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
            frame.sample_rate = 44100
            container.mux([*stream.encode(frame), *stream.encode(None)])
    both = tmp_path / "both.aac"
    both.write_bytes(b"".join((tmp_path / f"{number}.aac").read_bytes() for number in range(2)))
    samples, _ = read_audio(both, 0)
    assert abs(len(samples) - 64000) < 4000
    for start, pitch in ((16000, 440), (48000, 880)):
        spectrum = np.abs(np.fft.rfft(samples[start : start + 8000]))
        assert spectrum.argmax() * 2 == pitch and np.abs(samples[start : start + 8000]).max() > 0.4


@pytest.mark.parametrize("missing", ["config.json", "model.bin", "tokenizer.json"])
def test_model_that_lacks_a_file_is_an_error_and_nothing_is_downloaded(
    tmp_path: Path, model: Path, missing: str
) -> None:
    for file in model.iterdir():
        if file.name != missing:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(StageError, match=f"holds no {missing}; expected a faster-whisper model directory"):
        load_model(tmp_path, Parameters(**PARAMETERS), 1)


def test_altered_model_is_named(tmp_path: Path, model: Path) -> None:
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 1000 if file.name == "model.bin" else None])
    with pytest.raises(StageError, match=f"{tmp_path.name}: cannot be loaded as a faster-whisper model"):
        load_model(tmp_path, Parameters(**PARAMETERS), 1)


def test_language_that_the_model_does_not_know_is_an_error(model: Path) -> None:
    with pytest.raises(StageError, match=r"language 'fr': the model in .* knows only en; give a multilingual model"):
        load_model(model, Parameters(**{**PARAMETERS, "language": "fr"}), 1)


def test_language_other_than_the_master_s_is_an_error(tmp_path: Path, model: Path) -> None:
    quiet = write_media(tmp_path / "quiet.wav", np.zeros(16000, np.float32))
    with pytest.raises(StageError, match=r"language 'fr': but smoke is in 'en-GB' by its probe\.json"):
        build(tmp_path, quiet, model, language="fr")


def test_unknown_parameter_is_named(tmp_path: Path, model: Path) -> None:
    with pytest.raises(StageError, match=r"parameters: .*'temperature' was unexpected"):
        build(tmp_path, write_media(tmp_path / "quiet.wav", np.zeros(16000, np.float32)), model, temperature=0.2)


def line(said: str, start: float = 1.0, **changes: Any) -> Segment:
    words = [
        Word(start=start + n / 2, end=start + n / 2 + 0.4, word=f" {word}", probability=0.9)
        for n, word in enumerate(said.split())
    ]
    fields: dict[str, Any] = {
        **{"id": 1, "seek": 0, "start": start - 7, "end": start + 20, "text": f" {said}", "tokens": []},
        **{"avg_logprob": -0.3, "compression_ratio": 1.2, "no_speech_prob": 0.1, "words": words, "temperature": 0.0},
    }
    return Segment(**{**fields, **changes})


def test_line_has_the_times_of_its_words_not_of_the_segment() -> None:
    (entry,) = lines_of(line("He was not", start=3.0), offset=0.5, silence=2.0)
    assert (entry["start"], entry["end"], entry["text"]) == (3.5, 4.9, "He was not")
    assert [word["text"] for word in entry["words"]] == [" He", " was", " not"]


def test_last_word_of_a_window_that_is_heard_late_does_not_move_to_the_next_speech(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Late:
        def __init__(self, model: Any) -> None: ...

        def transcribe(self, sound: np.ndarray, **_: Any) -> tuple[list[Segment], None]:
            return [line("Come here.", start=0.8, seek=0), line("Who is it?", start=1.5, seek=150)], None

    monkeypatch.setattr(windows, "BatchedInferencePipeline", Late)
    parts = [[{"start": start * RATE, "end": start * RATE + 3 * RATE // 2}] for start in (0, 60)]
    heard = transcribe(None, noise(62.0), parts, Parameters(**{**PARAMETERS, "batch_size": 2}), 1)
    assert [(word.start, word.end) for word in heard[0].words] == [(0.8, 1.2), (1.3, 1.7)]
    assert heard[1].words[0].start == 60.0


def test_segment_over_a_long_silence_becomes_two_lines() -> None:
    early, late = line("young man,", start=3.0), line("unless to be", start=14.0)
    segment = line("young man, unless to be", words=[*early.words, *late.words])
    first, second = lines_of(segment, offset=0.0, silence=2.0)
    assert (first["text"], first["end"]) == ("young man,", 3.9)
    assert (second["text"], second["start"]) == ("unless to be", 14.0)
    assert len(lines_of(segment, offset=0.0, silence=20.0)) == 1


@pytest.mark.parametrize(
    ("said", "sentences"),
    [
        ("Who is it? It is I", ["Who is it?", "It is I"]),
        ("Mr. Frank sits. Rinky runs!", ["Mr. Frank sits.", "Rinky runs!"]),
        ("He said 'no.' And left", ["He said 'no.'", "And left"]),
        ("no end", ["no end"]),
    ],
)
def test_window_of_a_batch_becomes_a_line_for_each_sentence(said: str, sentences: list[str]) -> None:
    parts = list(sentences_of(line(said)))
    assert [part.text.strip() for part in parts] == sentences
    assert [word for part in parts for word in part.words] == line(said).words
    assert all((part.start, part.end) == (part.words[0].start, part.words[-1].end) for part in parts)


def test_window_without_words_stays_to_be_dropped_with_its_reason() -> None:
    empty = line("You", words=[])
    assert list(sentences_of(empty)) == [empty] and reason_to_drop(empty, Parameters(**PARAMETERS)) == "no words"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"no_speech_prob": 0.9}, None),
        ({"avg_logprob": -2.0}, None),
        ({"no_speech_prob": 0.9, "avg_logprob": -2.0}, "no speech"),
        ({"compression_ratio": 2.5}, "compression"),
        ({"text": " no no no no no"}, "repetition"),
        ({"words": []}, "no words"),
        ({"words": None}, "no words"),
    ],
)
def test_each_rule_drops_with_its_own_reason(changes: dict[str, Any], reason: str | None) -> None:
    assert reason_to_drop(line("He was not an ill disposed young man", **changes), Parameters(**PARAMETERS)) == reason


def test_line_said_too_often_in_a_row_is_dropped_each_time_and_others_stay() -> None:
    texts = ["Hello there.", *["Thank you."] * 5, "Goodbye.", *["Come on!"] * 4]
    reasons = [reason for _, reason in sort_out([line(text) for text in texts], Parameters(**PARAMETERS))]
    assert reasons == [None, *["repetition"] * 5, None, *[None] * 4]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.integers(1, 6))
def test_phrase_is_a_loop_exactly_when_said_more_often_than_the_limit(phrase: list[str], limit: int) -> None:
    distinct = [f"{word}{number}" for number, word in enumerate(phrase)]
    assert not repeats_itself(["well", *distinct * limit, "so"], limit)
    assert repeats_itself(["well", *distinct * (limit + 1), "so"], limit)
