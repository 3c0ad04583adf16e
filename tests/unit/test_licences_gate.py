"""The licence gate blocks exactly what a straightforward reading of the terms blocks, and says which clause and why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.models import licences
from reelgraph.models.catalogue import read_models
from reelgraph.models.store import evaluate

ROOT = Path(__file__).parents[2]
TERMS = {path.stem: read_json(path) for path in sorted((ROOT / "materials/licences/terms").glob("*.json"))}
WORKS = {path.stem: read_json(path) for path in sorted((ROOT / "materials/licences/works").glob("*.json"))}
PROFILE = read_json(ROOT / "materials/profile.json")
EU = read_json(ROOT / "materials/licences/territories.json")["groups"]["EU"]
WORK = {"title": "It", "kind": "model", "licence": "it", "attribution": "Somebody.", "source": "here", "package": None}
FREE = TERMS["mit"]
GATE = """
{ root, file }:
let
  territories = builtins.fromJSON (builtins.readFile (/. + root + "/materials/licences/territories.json"));
  answer =
    case:
    (import (/. + root + "/nix/licences.nix") {
      inherit (case) profile;
      inherit territories;
      terms.it = case.terms;
      works.it = case.work;
    }).verdicts.it;
in
map (case: {
  inherit (answer case) allowed;
  terms = map (blocker: blocker.term) (answer case).blockers;
}) (builtins.fromJSON (builtins.readFile (/. + file)))
"""

amounts = st.sampled_from([0, 1, 9_999_999, 10_000_000, 10_000_001, 10**9])
counts = st.sampled_from([0, 99_999_999, 100_000_000, 100_000_001])
places = st.sampled_from(["DE", "FR", "GB", "KR", "US", "JP", "CH", "EU", "UK"])
profiles = st.fixed_dictionaries(
    {
        "who": st.just("somebody"),
        "commercial": st.booleans(),
        "yearly_revenue_usd": st.none() | amounts,
        "monthly_users": st.none() | counts,
        "territories": st.lists(places, min_size=1, max_size=3, unique=True),
        "accepts_share_alike": st.booleans(),
        "agreements": st.sampled_from([{}, {"theirs": "a drawer"}, {"another": "a drawer"}]),
    }
)
terms = st.fixed_dictionaries(
    {
        "checked": st.sampled_from([True, True, True, False]),
        "published": st.sampled_from([True, True, True, False]),
        "agreement_required": st.sampled_from([False, False, False, True]),
        "commercial_use": st.booleans(),
        "revenue_limit": st.none()
        | st.fixed_dictionaries({"usd": amounts.filter(bool), "only_commercial_use": st.booleans()}),
        "monthly_users_limit": st.none() | counts.filter(bool),
        "excluded_territories": st.lists(places, max_size=3, unique=True),
        "share_alike": st.booleans(),
        "agreement": st.none() | st.just({"id": "theirs", "party": "them"}),
    }
).map(lambda drawn: {**FREE, **drawn})


def countries(codes: list[str]) -> set[str]:
    """Return the countries that a list of territories means."""
    groups = {"EU": set(EU), "UK": {"GB"}}
    return set().union(*(groups.get(code, {code}) for code in codes))


def read_plainly(profile: dict[str, Any], licence: dict[str, Any]) -> set[str]:
    """Return the terms that forbid us the use, as a person would read them."""
    agreement = licence["agreement"]
    if agreement and agreement["id"] in profile["agreements"]:
        return set()
    forbidden = set()
    if not licence["checked"]:
        forbidden.add("checked")
    if not licence["published"]:
        forbidden.add("published")
    if licence["agreement_required"]:
        forbidden.add("agreement_required")
    if profile["commercial"] and not licence["commercial_use"]:
        forbidden.add("commercial_use")
    if limit := licence["revenue_limit"]:
        ours = profile["yearly_revenue_usd"]
        concerns_us = profile["commercial"] or not limit["only_commercial_use"]
        if concerns_us and (ours is None or ours >= limit["usd"]):
            forbidden.add("revenue_limit")
    if most := licence["monthly_users_limit"]:
        ours = profile["monthly_users"]
        if ours is None or ours > most:
            forbidden.add("monthly_users_limit")
    if countries(profile["territories"]) & countries(licence["excluded_territories"]):
        forbidden.add("excluded_territories")
    if licence["share_alike"] and not profile["accepts_share_alike"]:
        forbidden.add("share_alike")
    return forbidden


def ask_gate(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the gate's answer to each case of profile, terms and work."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as stream:
        json.dump([{"work": WORK, **case} for case in cases], stream)
        stream.flush()
        answers = evaluate(GATE, root=str(ROOT), file=stream.name)
    assert isinstance(answers, list)
    return answers


# Nothing is shrunk: a failing case is printed by itself, and each try costs a call of Nix.
@settings(max_examples=20, phases=[Phase.generate])
@given(st.lists(st.fixed_dictionaries({"profile": profiles, "terms": terms}), min_size=60, max_size=60))
def test_the_gate_blocks_what_a_plain_reading_blocks(cases: list[dict[str, Any]]) -> None:
    for case, answer in zip(cases, ask_gate(cases), strict=True):
        expected = read_plainly(case["profile"], case["terms"])
        assert set(answer["terms"]) == expected, case
        assert answer["allowed"] is (not expected)


def test_an_agreement_of_our_own_lifts_a_works_limits() -> None:
    needed = {**TERMS["by-agreement"]}
    work = {**WORK, "agreement": {"id": "series-masters", "party": "the licensor"}}
    held = {**PROFILE, "agreements": {"series-masters": "the safe"}}
    answers = ask_gate(
        [{"profile": PROFILE, "terms": needed, "work": work}, {"profile": held, "terms": needed, "work": work}]
    )
    assert [answer["allowed"] for answer in answers] == [False, True]


@pytest.mark.parametrize("code", ["XX", "de", "Germany"])
def test_a_territory_that_does_not_exist_is_an_error_not_a_pass(code: str) -> None:
    case = {"profile": {**PROFILE, "territories": [code]}, "terms": TERMS["tencent-hunyuan-community"]}
    with pytest.raises(StageError):
        ask_gate([case])


def test_a_work_with_an_unknown_licence_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StageError):
        ask_gate([{"profile": PROFILE, "terms": FREE, "work": {**WORK, "licence": "unheard-of"}}])


def ask(names: str) -> str:
    """Return a Nix function that passes "value" to a subject that reaches ``names``."""
    return f"""
    {{ root, profile }}:
    let gate = import (/. + root + "/nix/licences.nix") {{ profile = builtins.fromJSON profile; }}; in
    gate.permit "stage 'x' of 'y'" [ {names} ] "value"
    """


def permit(names: str, profile: dict[str, Any] = PROFILE) -> object:
    """Return the value that the gate lets through."""
    return evaluate(ask(names), root=str(ROOT), profile=json.dumps(profile))


def refusal(names: str, profile: dict[str, Any] = PROFILE) -> str:
    """Return everything that Nix says when it refuses."""
    arguments = ["--argstr", "root", str(ROOT), "--argstr", "profile", json.dumps(profile), "--expr", ask(names)]
    command = ["nix-instantiate", "--eval", "--strict", "--readonly-mode", *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode != 0
    return finished.stderr


def test_what_is_allowed_passes_unchanged() -> None:
    assert permit('"wan22-ti2v-5b" "big-buck-bunny" "silero-vad"') == "value"
    assert permit("") == "value"


def test_a_refusal_names_subject_work_clause_and_what_lifts_it() -> None:
    assert (
        "reelgraph: stage 'x' of 'y' reaches model 'ltx2' (LTX-2 19B, LTX-2 Community License Agreement (January 5, "
        "2026)), which materials/profile.json may not use: free only below 10000000 USD of yearly revenue, and the "
        "profile does not state ours (section 2); what is made with it must carry the same licence, and the profile "
        "does not accept that (section 3(b)); "
        "lifted by the agreement 'lightricks-ltx-2' with Lightricks in the profile's agreements"
    ) in refusal('"wan22-ti2v-5b" "ltx2"')


def test_every_work_in_the_way_is_named_at_once() -> None:
    said = refusal('"flux1-dev" "hunyuan-video" "whisper-tiny-en"')
    assert "'flux1-dev'" in said and "'hunyuan-video'" in said and "'whisper-tiny-en'" not in said


def test_a_work_that_nobody_described_is_an_error() -> None:
    assert "the work 'unheard-of' is in neither materials/licences/works nor materials/models" in refusal(
        '"unheard-of"'
    )


def test_a_licence_that_nobody_has_read_forbids_and_says_what_lifts_it() -> None:
    said = refusal('"gemma3-12b"')
    assert "nobody has read its licence yet" in said
    assert "lifted by reading it and setting 'checked' in materials/licences/terms/gemma.json" in said


def test_the_agreement_in_the_profile_lifts_the_refusal() -> None:
    assert permit('"ltx2"', {**PROFILE, "agreements": {"lightricks-ltx-2": "the safe"}}) == "value"


VERDICTS = licences.read_verdicts(ROOT)


@pytest.mark.parametrize(
    ("name", "blockers"),
    [
        ("wan22-ti2v-5b", []),
        ("wan22-t2v-a14b", []),
        ("wan22-i2v-a14b", []),
        ("flux1-dev", ["commercial use is not allowed"]),
        ("flux2-dev", ["commercial use is not allowed"]),
        ("ltx2", ["free only below 10000000 USD of yearly revenue"]),
        ("hunyuan-video", ["not licensed in EU GB KR"]),
        ("wan27", ["its weights are not published"]),
    ],
)
def test_the_runbooks_table_is_what_the_default_profile_gives(name: str, blockers: list[str]) -> None:
    assert VERDICTS[name].allowed is (not blockers)
    assert all(blocker in VERDICTS[name].because for blocker in blockers)


def test_licences_works_and_profile_satisfy_their_schemas_and_hold_together() -> None:
    licences.read_verdicts(ROOT)
    assert not WORKS.keys() & read_models(ROOT).keys()
    assert {work["licence"] for work in WORKS.values()} <= TERMS.keys()


@pytest.mark.parametrize("name", TERMS)
def test_every_limit_of_a_licence_has_its_clause(name: str) -> None:
    limits = {"commercial_use": False, "published": False, "share_alike": True, "attribution": True}
    set_limits = {term for term, value in limits.items() if TERMS[name][term] is value}
    set_limits |= {
        term for term in ("revenue_limit", "monthly_users_limit", "excluded_territories") if TERMS[name][term]
    }
    assert set_limits <= TERMS[name]["clauses"].keys()


def test_a_wrong_profile_is_named_with_its_field(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "materials/licences", tmp_path / "materials/licences")
    (tmp_path / "materials/profile.json").write_text(json.dumps({**PROFILE, "commercial": "maybe"}))
    with pytest.raises(StageError, match=r"materials/profile\.json: commercial: 'maybe' is not of type 'boolean'"):
        licences.read_verdicts(tmp_path)


def test_a_release_carries_attribution_notice_and_obligations() -> None:
    text = licences.release_text([VERDICTS["big-buck-bunny"], VERDICTS["wan22-ti2v-5b"]])
    assert "Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org; cut, resampled" in text
    assert "https://creativecommons.org/licenses/by/3.0/" in text
    assert "Apache License, Version 2.0" in text
    assert text.index("Besides, their licences ask:") < text.index("Say what was changed.")


def test_packages_weights_and_fonts_are_found_by_package() -> None:
    packages = '[ "faster-whisper" "matplotlib" "numpy" ]'
    expression = f'{{ root }}: (import (/. + root + "/nix/licences.nix") {{ }}).inPackages {packages}'
    assert evaluate(expression, root=str(ROOT)) == ["dejavu-fonts", "silero-vad"]


def reel(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    command = [
        sys.executable,
        "-c",
        "from reelgraph.cli.main import main; main(prog_name='reel')",
        "licences",
        *arguments,
    ]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_comparison_in_the_docs_is_current() -> None:
    finished = reel("--document", "--check")
    assert finished.returncode == 0, finished.stderr


def test_a_comparison_that_is_not_current_says_how_to_mend_it(tmp_path: Path) -> None:
    for name in ("nix", "materials/licences", "materials/models"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("nixw", "flake.nix", "materials/profile.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    finished = reel("--document", "--check", cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (
        1,
        "reel: docs/research/model-licensing.md is not current; run: reel licences --document\n",
    )
    assert reel("--document", cwd=tmp_path).returncode == 0
    assert reel("--document", "--check", cwd=tmp_path).returncode == 0
    (tmp_path / "materials/profile.json").write_text(json.dumps({**PROFILE, "yearly_revenue_usd": 1_000_000}))
    assert reel("--document", "--check", cwd=tmp_path).returncode == 1


def test_the_whole_table_is_printed_and_readable_by_scripts() -> None:
    rows = json.loads(reel("--json").stdout)["models"]
    assert {"name", "licence", "allowed", "because"} <= rows[0].keys()
    assert {row["name"] for row in rows} == VERDICTS.keys()
    lines = reel().stdout.splitlines()
    assert len(lines) == len(rows)
    assert any(line.startswith("wan22-ti2v-5b ") and line.endswith(" yes") for line in lines)
