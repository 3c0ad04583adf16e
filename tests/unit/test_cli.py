"""`reel` and its help: quick, a screen each, with an example, plain text, and its errors in one sentence on stderr."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from reelgraph.cli.main import main

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "av", "transformers", "jsonschema", "jinja2", "huggingface_hub", "httpx", "matplotlib")
SCREEN_LINES, SCREEN_COLUMNS = 24, 80


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below ``command`` with the words that call it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, *path, name)
    if path:
        yield path, command


ALL = dict(commands(main))


def loaded_by(calls: list[list[str]]) -> list[str]:
    """Return what heavy modules a process has loaded after some calls of reel."""
    code = "import sys; from click.testing import CliRunner; from reelgraph.cli.main import main; "
    code += f"assert all(CliRunner().invoke(main, call).exit_code == 0 for call in {calls}); "
    code += f"print(*sorted(set({HEAVY}) & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by([[*path, "--help"] for path in [(), *ALL]]) == []


def test_what_is_loaded_is_seen() -> None:
    assert "jsonschema" in loaded_by([["bible", "check", str(ROOT / "materials/smoke/bible.yaml")]])


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_each_help_fits_a_screen_and_has_an_example(path: tuple[str, ...]) -> None:
    finished = CliRunner().invoke(main, [*path, "--help"], terminal_width=SCREEN_COLUMNS)
    lines = finished.output.splitlines()
    assert finished.exit_code == 0
    assert len(lines) <= SCREEN_LINES and max(map(len, lines)) <= SCREEN_COLUMNS
    assert "\x1b" not in finished.output
    assert f"Example: {' '.join(['reel', *path])}" in " ".join(finished.output.split())


@pytest.mark.parametrize(
    ("words", "meant"), [(["plna"], "plan"), (["manifest", "buid"], "build"), (["plan", "--pirce"], "--price")]
)
def test_what_was_nearly_typed_is_named_on_stderr(words: list[str], meant: str) -> None:
    finished = CliRunner().invoke(main, words)
    assert finished.exit_code == 2 and finished.stdout == ""
    assert words[-1] in finished.stderr and f"Did you mean '{meant}'?" in finished.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "no such command 'nonsense' (see: reel --help)"),
        (["--nonsense"], "no such option '--nonsense' (see: reel --help)"),
        (["plan"], "missing argument 'TARGET' (see: reel plan --help)"),
        (["models", "tiers", "24"], "got unexpected extra argument (24) (see: reel models tiers --help)"),
        (
            ["audit", "smoke", "--jobs", "many"],
            "invalid value for '--jobs': 'many' is no whole number (see: reel audit",
        ),
        (["builder", "wait", "--minutes", "soon"], "invalid value for '--minutes': 'soon' is no number (see: reel bui"),
    ],
)
def test_a_wrong_use_is_one_sentence_that_names_where_its_help_is(words: list[str], said: str) -> None:
    finished = CliRunner().invoke(main, words)
    assert (finished.exit_code, finished.stdout, finished.stderr.count("\n")) == (2, "", 1)
    assert finished.stderr.startswith(f"reel: {said}")


@pytest.mark.parametrize("words", [[], ["manifest"]])
def test_a_group_without_a_command_shows_its_help(words: list[str]) -> None:
    finished = CliRunner().invoke(main, words)
    assert finished.exit_code == 2 and "Commands:" in finished.stderr


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/full", "No space left on device"),
        ("/sys/reel", "/sys/reel: "),
        ("/dev/null/x", "/dev/null/x: Not a directory"),
    ],
)
def test_what_the_file_system_refuses_is_one_sentence(monkeypatch: pytest.MonkeyPatch, path: str, said: str) -> None:
    command = click.Command("plan", callback=lambda: Path(path).write_text("it"))
    monkeypatch.setattr(main, "get_command", lambda context, name: command)
    finished = CliRunner().invoke(main, ["plan"])
    assert finished.exit_code == 3 and finished.stdout == ""
    assert finished.stderr.startswith(f"reel: {said}") and finished.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "smoke", "--price", "free"], "reel: --price free: is no amount; give one such as 1.84"),
        (["plan", "smoke", "--price", "-3"], "reel: --price -3: is no amount; give one such as 1.84"),
        (["plan", "smoke", "--price", "nan"], "reel: --price nan: is no amount; give one such as 1.84"),
        (["plan", "smoke", "--step-seconds", "-1"], "invalid value for '--step-seconds'"),
        (["graph", "smoke", "--store", "/nowhere"], "Directory '/nowhere' does not exist (see: reel graph --help)"),
        (["manifest", "guard", "/nowhere"], "Path '/nowhere' does not exist (see: reel manifest guard --help)"),
        (["task", "train:step1-clips", "--json"], "reel: --json goes with --dry-run, or with the list"),
        (["verify", "README.md", "--key", "/nowhere"], "File '/nowhere' does not exist (see: reel verify --help)"),
        (["licences", "--check"], "reel: --check goes with --document"),
        (["licences", "smoke", "--document"], "reel: --document is of all works; leave out smoke"),
        (
            ["manifest", "keep-once", "docs"],
            "reel: docs: holds no variants.json; give what .#iiw.variants was built to",
        ),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    finished = CliRunner().invoke(main, words)
    assert (finished.exit_code, finished.stdout) == (2, "") and said in finished.stderr


def test_an_audit_begins_with_the_folder_of_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def audited(*given: object) -> None:
        raise AssertionError("a second build whose report would be lost")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("reelgraph.audit.audit.run_audit", audited)
    finished = CliRunner().invoke(main, ["audit", "smoke.bible", "-o", "/dev/null/x"])
    assert (finished.exit_code, finished.stderr) == (3, "reel: /dev/null/x: Not a directory\n")


def test_a_review_looks_at_its_folder_and_corrections_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(*given: object) -> None:
        raise AssertionError("a build for a page that cannot be written")

    monkeypatch.setattr("reelgraph.words.builds.build_stages", built)
    review = ["review", "smoke.big-buck-bunny-excerpt", "--output"]
    said = f"reel: {tmp_path}: exists already; name a new directory, nothing is overwritten\n"
    finished = CliRunner().invoke(main, [*review, str(tmp_path)])
    assert (finished.exit_code, finished.stderr) == (2, said)
    (tmp_path / "mine.yaml").write_text("`")
    finished = CliRunner().invoke(main, [*review, str(tmp_path / "page"), "--overrides", str(tmp_path / "mine.yaml")])
    assert finished.exit_code == 1 and finished.stderr.startswith("reel: mine.yaml: is not YAML")


def test_an_audit_looks_for_its_revision_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def built(*given: object) -> None:
        raise AssertionError("a build for a comparison that cannot be made")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("reelgraph.audit.audit.load_graph", lambda *given: SimpleNamespace(target="smoke"))
    monkeypatch.setattr("reelgraph.audit.audit._built_states", built)
    finished = CliRunner().invoke(main, ["audit", "smoke", "--since", "no-such-revision"])
    assert finished.exit_code == 2 and finished.stderr.startswith("reel: git knows no revision 'no-such-revision'")


def test_a_quote_that_was_never_fetched_is_a_step_before(tmp_path: Path) -> None:
    finished = CliRunner().invoke(main, ["builder", "order", str(tmp_path / "quote.json")])
    said = f"{tmp_path}/quote.json: there is no quote; make one: reel builder find-cheapest-gpu --hours HOURS --output"
    assert (finished.exit_code, finished.stderr) == (3, f"reel: {said} {tmp_path}/quote.json\n")


@pytest.mark.parametrize("content", [b"# A\n\nlong text", b"\x7fELF\xd0\x00"])
def test_a_file_that_is_no_host_key_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("REEL_BUILDER_STATE", str(tmp_path / "state"))
    (tmp_path / "host.pub").write_bytes(content)
    words = ["builder", "register", "mine", "--host", "192.0.2.7", "--key", "k", "--host-key", f"{tmp_path}/host.pub"]
    finished = CliRunner().invoke(main, words)
    assert (finished.exit_code, finished.stderr.count("\n")) == (2, 1)
    assert finished.stderr.startswith(f"reel: {tmp_path}/host.pub: '") and "is not a public key" in finished.stderr


def test_a_builders_target_is_named_as_everywhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("reelgraph.builder.offload.explain", lambda named, builders: asked.extend(named))
    assert (
        CliRunner().invoke(main, ["builder", "explain", "smoke.checkpoint", ".#smoke", "/nix/store/a"]).exit_code == 0
    )
    assert asked == [".#smoke.checkpoint", ".#smoke", "/nix/store/a"]


def test_one_character_is_counted_as_one() -> None:
    finished = CliRunner().invoke(main, ["bible", "check", str(ROOT / "materials/smoke/bible.yaml")])
    assert finished.output == "1 character, 3 villains, 4 places, 3 gadgets, 1 episode\n"


def test_an_interruption_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "get_command", lambda context, name: click.Command("audit", callback=interrupted))
    finished = CliRunner().invoke(main, ["audit"])
    assert (finished.exit_code, finished.stderr) == (130, "reel: interrupted\n")


def test_a_project_without_anything_to_lock_is_named(tmp_path: Path) -> None:
    finished = CliRunner().invoke(main, ["lock", str(tmp_path)])
    path = tmp_path / "pyproject.toml"
    said = f"reel: {path}: is not there; name the folder that has it, such as python\n"
    assert (finished.exit_code, finished.stderr) == (2, said)
    path.write_text("[project]")
    assert "has no [dependency-groups] to lock" in CliRunner().invoke(main, ["lock", str(tmp_path)]).stderr
