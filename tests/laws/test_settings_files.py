"""Which settings and which secrets a command uses, and which it never takes by itself."""

import argparse
import os
from pathlib import Path

import pytest

from bot.file_writing import ChangedMeanwhile, write_whole
from bot.settings_files import INSTALLED, FoundFiles, find_files
from config.settings import SettingsError

HERE = "working directory"


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The working directory and the installed one, each with both files."""
    for name in ("work", "etc"):
        (tmp_path / name).mkdir()
        for file in ("settings.yaml", "bot.env"):
            (tmp_path / name / file).write_text("")
    return tmp_path / "work", tmp_path / "etc"


def found(
    places: tuple[Path, Path],
    config: str | None = None,
    env_file: str | None = None,
    **env: str,
) -> FoundFiles:
    """What a command finds with these options and this environment."""
    options = argparse.Namespace(config=config, env_file=env_file)
    return find_files(options, env, *places)


def refused(places: tuple[Path, Path], config: str | None = None, **env: str) -> list[str]:
    """Why it finds nothing."""
    with pytest.raises(SettingsError) as error:
        found(places, config, **env)
    return error.value.problems


def test_the_order_is_option_variable_working_directory_installed(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    work, etc = places
    other = tmp_path / "other.yaml"
    other.write_text("")
    variable = {"OPENVIDU_BOT_CONFIG": str(etc / "settings.yaml")}
    assert found(places, str(other), **variable).settings == other
    assert found(places, **variable).settings == etc / "settings.yaml"
    assert found(places) == FoundFiles(work / "settings.yaml", HERE, work / "bot.env")
    (work / "settings.yaml").unlink()
    assert found(places) == FoundFiles(etc / "settings.yaml", "installed", etc / "bot.env")
    (etc / "settings.yaml").unlink()
    assert refused(places) == [
        "No settings file. Use --config FILE or set OPENVIDU_BOT_CONFIG.",
        "To make one: openvidu-bot init",
    ]


def test_where_the_package_installs_them() -> None:
    root = Path(__file__).resolve().parents[2]
    assert f"config={INSTALLED}\n" in (root / "deploy" / "droplet" / "install.sh").read_text()
    unit = (root / "deploy" / "systemd" / "openvidu-bot.service").read_text()
    assert f"--config {INSTALLED}/settings.yaml" in unit


def test_secrets_lie_beside_the_settings_that_were_taken(places: tuple[Path, Path]) -> None:
    work, etc = places
    for name in ("pretend.yaml", "prod.yaml", "prod.env"):
        (work / name).write_text("")
    assert found(places, str(etc / "settings.yaml")).secrets == etc / "bot.env"
    assert found(places, str(work / "prod.yaml")).secrets == work / "prod.env"
    # Never those of other settings: they may be of real clusters.
    assert found(places, str(work / "pretend.yaml")).secrets is None
    assert found(places, env_file="-").secrets is None
    assert found(places, env_file="x.env").secrets == Path("x.env")
    assert found(places, OPENVIDU_BOT_ENV_FILE="y.env").secrets == Path("y.env")


def test_what_was_taken_is_one_line(places: tuple[Path, Path]) -> None:
    work, _ = places
    assert found(places).line == (
        f"Settings: {work}/settings.yaml (working directory). "
        f"Secrets: {work}/bot.env (the environment has precedence)."
    )


def test_a_name_with_a_typo_is_answered_with_the_file(places: tuple[Path, Path]) -> None:
    work, _ = places
    wanted = work / "setings.yaml"
    assert refused(places, str(wanted)) == [
        f"{wanted}: no such file. Did you mean {work / 'settings.yaml'}?"
    ]


def test_a_name_unlike_any_file_is_answered_with_how_to_make_it(
    places: tuple[Path, Path],
) -> None:
    wanted = places[0] / "prod.yaml"
    assert refused(places, str(wanted)) == [
        f"{wanted}: no such file. To make one: openvidu-bot init --config {wanted}"
    ]


def test_a_file_that_everyone_can_change_is_not_taken_by_itself(
    places: tuple[Path, Path],
) -> None:
    work, _ = places
    (work / "settings.yaml").chmod(0o666)
    (said,) = refused(places)
    assert "can be changed by every user of this machine" in said
    assert "--config" in said
    assert found(places, str(work / "settings.yaml")).settings == work / "settings.yaml"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_files_of_another_user_are_not_taken_by_themselves(places: tuple[Path, Path]) -> None:
    work, _ = places
    os.chown(work / "bot.env", 12345, -1)
    files = found(places)
    assert (files.secrets, "belongs to user 12345, not to you" in files.passed_over) == (None, True)
    os.chown(work / "settings.yaml", 12345, -1)
    (said,) = refused(places)
    assert "belongs to user 12345, not to you" in said


# Written whole or not at all


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    write_whole(link, "new", 0o644, "old")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)
    assert link.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.yaml", "real.yaml"]


@pytest.mark.parametrize("before", [None, "older"])
def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path, before: str | None) -> None:
    file = tmp_path / "bot.env"
    file.write_text("of another")
    with pytest.raises(ChangedMeanwhile, match=r"bot\.env was .* meanwhile"):
        write_whole(file, "mine", 0o600, before)
    assert file.read_text() == "of another"
    assert [p.name for p in tmp_path.iterdir()] == ["bot.env"]
