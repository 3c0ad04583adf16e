"""Derivations are read, written, resolved and named exactly as Nix does it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.graph.derivation import Derivation, Output, base32, parse_derivation, placeholder, read_derivation

# A stage of the smoke job as Nix 2.8, 2.26 and 2.34 write it, before and after its environment's path took its place.
PATH = "/nix/store/0dl80s9mx16kqy5k4w2c4lkfx0p9mzch-reel-smoke-bible.drv"
ATTRIBUTES = (
    '{"builder":"/nix/store/10bw5zs2gj47zddh293ddb30m3cp7dnd-reel-python-media/bin/python3.11","inputs":{"bible":'
    '"/nix/store/h2byfafam9x4x6x6lkz5wh2asrw19gyd-bible.json"},"name":"reel-smoke-bible","outputChecks":{"out":'
    '{"allowedReferences":[]}},"outputHashAlgo":"sha256","outputHashMode":"recursive","parameters":{},'
    '"requiredSystemFeatures":[],"system":"x86_64-linux"}'
)
CODE = "/nix/store/zyqxwaa0wkxhi9mz64ym56mqaqw7bixx-reel-bible-code"
BIBLE = Derivation(
    outputs={"out": Output("", "r:sha256", "")},
    input_derivations={"/nix/store/388992n46f6dgl8313c3m55sfcbzs5a0-reel-python-media.drv": ("out",)},
    sources=("/nix/store/h2byfafam9x4x6x6lkz5wh2asrw19gyd-bible.json", CODE),
    system="x86_64-linux",
    builder="/nix/store/10bw5zs2gj47zddh293ddb30m3cp7dnd-reel-python-media/bin/python3.11",
    arguments=(
        "-c",
        f"import sys; sys.path.insert(0, '{CODE}'); from reelgraph.stages.bible import STAGE; STAGE.main()",
        "--derivation",
    ),
    environment={"__json": ATTRIBUTES, "out": "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"},
)


def test_a_derivation_has_the_store_path_that_nix_gives_it() -> None:
    assert BIBLE.path("reel-smoke-bible") == PATH


def test_an_environment_of_a_resolved_derivation_is_a_source() -> None:
    resolved = BIBLE.resolve({})
    assert resolved.input_derivations == {}
    assert "/nix/store/10bw5zs2gj47zddh293ddb30m3cp7dnd-reel-python-media" in resolved.sources
    assert resolved.builder == BIBLE.builder


def test_the_output_of_an_input_takes_its_placeholders_place_everywhere() -> None:
    drv = "/nix/store/3b8hncmr0l9ngq17inixd0vwd6ksdva9-reel-x-shots.drv"
    mark, built = placeholder(drv, "out"), "/nix/store/7b4gp0f9xmdg41kqyf7lbhnsfalrak2k-reel-x-shots"
    derivation = Derivation({}, {drv: ("out",)}, (), "s", f"{mark}/bin", (mark,), {"a": f"{mark}/b {mark}"})
    resolved = derivation.resolve({(drv, "out"): built})
    assert (resolved.builder, resolved.arguments) == (f"{built}/bin", (built,))
    assert resolved.environment == {"a": f"{built}/b {built}"}
    assert resolved.sources == (built,)


def test_a_placeholder_is_nix_own() -> None:
    # Read from a derivation that Nix made of this one's output.
    drv = "/nix/store/3b8hncmr0l9ngq17inixd0vwd6ksdva9-reel-big-buck-bunny-excerpt-wan22-latents.drv"
    assert placeholder(drv, "out") == "/1r8fwkim69qmjkfligp00cybl9mdagpidbqxv08h0lfadcjwvc5p"


def test_only_a_resolved_derivation_has_a_realisation() -> None:
    with pytest.raises(ValueError, match="resolved"):
        BIBLE.realisation()
    resolved = BIBLE.resolve({})
    assert resolved.realisation().startswith("sha256:")
    assert parse_derivation(resolved.text()).realisation() == resolved.realisation()


@given(st.binary(min_size=20, max_size=32))
def test_base_32_has_five_bits_a_digit(digest: bytes) -> None:
    text = base32(digest)
    assert len(text) == -(-len(digest) * 8 // 5)
    assert not set(text) & set("eotu")


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@given(
    st.builds(
        Derivation,
        outputs=st.dictionaries(TEXTS, st.builds(Output, TEXTS, TEXTS, TEXTS), max_size=2),
        input_derivations=st.dictionaries(
            TEXTS, st.lists(TEXTS, max_size=2, unique=True).map(lambda x: tuple(sorted(x)))
        ),
        sources=st.lists(TEXTS, unique=True).map(lambda x: tuple(sorted(x))),
        system=TEXTS,
        builder=TEXTS,
        arguments=st.lists(TEXTS).map(tuple),
        environment=st.dictionaries(TEXTS, TEXTS),
    )
)
def test_what_is_written_reads_back_the_same(derivation: Derivation) -> None:
    assert parse_derivation(derivation.text()) == derivation


def test_a_file_that_is_no_derivation_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.drv").write_text("Deriv")
    with pytest.raises(StageError, match=r"x\.drv: is not a derivation"):
        read_derivation(tmp_path / "x.drv")
    with pytest.raises(StageError, match=r"gone\.drv: cannot be read"):
        read_derivation(tmp_path / "gone.drv")
