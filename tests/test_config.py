"""Settings: layers, words of errors, places."""

from __future__ import annotations

import os
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import config, options
from assay.config import load, resolve
from assay.errors import ConfigError
from assay.settings import Limits, Retention, Settings
from assay.types import Action

DOCS = Path(__file__).parents[1] / "docs" / "configuration.md"


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A home of its own and no /etc/assay of the machine."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr("assay.places.SYSTEM", tmp_path / "etc")
    (tmp_path / "etc").mkdir()
    return {"HOME": str(home), "TMPDIR": str(tmp_path)}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def user(environ: dict[str, str], name: str = "assay.toml") -> Path:
    return Path(environ["HOME"]) / ".config" / "assay" / name


def test_shipped_defaults_equal_those_of_the_classes(environ):
    s = load(environ=environ)
    assert s.limits == Limits()
    assert s.retention == Retention()
    assert s == Settings(paths=s.paths)


def test_every_line_of_the_shipped_defaults_is_read():
    table = tomllib.loads((config.PACKAGE / "defaults.toml").read_text(encoding="utf-8"))
    assert set(config._flatten(table)) <= set(config._keys())


def test_every_setting_has_words_and_stands_in_the_documentation():
    page = DOCS.read_text(encoding="utf-8")
    for key, known in config._keys().items():
        assert known.text.endswith("."), key
        if not key.startswith(("policy.", "reasons.")):
            assert f"`{key}`" in page, key
            assert known.text in page, f"{key}: docs/configuration.md says something else"


def test_local_files_merge_and_the_user_wins_over_the_system(environ, tmp_path):
    write(tmp_path / "etc" / "assay.toml", 'prior = 0.1\n[limits]\npixels = "50 MP"\nstreams = 3\n')
    write(user(environ), "[limits]\nstreams = 4\n")
    s = load(environ=environ)
    assert (s.prior, s.limits.pixels, s.limits.streams) == (0.1, 50_000_000, 4)
    assert len(s.paths.config) == 2


def test_an_override_replaces_its_whole_table_and_nothing_else(environ, tmp_path):
    write(user(environ), 'prior = 0.1\n[limits]\npixels = "50 MP"\nstreams = 3\n[retention]\nkept_days = 1\n')
    write(tmp_path / "etc" / "assay.override.toml", "[limits]\nstreams = 7\n")
    s = load(environ=environ)
    assert s.limits.streams == 7
    assert s.limits.pixels == Limits().pixels, "what the override does not name is the shipped default again"
    assert (s.prior, s.retention.kept_days) == (0.1, 1)


def test_environment_beats_override_and_the_command_line_beats_both(environ, tmp_path):
    write(tmp_path / "etc" / "assay.override.toml", "jobs = 1\nprior = 0.2\n")
    environ |= {"ASSAY_JOBS": "2", "ASSAY_PRIOR": "0.3", "ASSAY_POLICY_KNOWN_FAKE": "reject"}
    resolved = resolve(environ=environ, command_line={"jobs": 3, "prior": None})
    assert (resolved.settings.jobs, resolved.settings.prior) == (3, 0.3)
    assert resolved.settings.policy.actions == {"known_fake": Action.REJECT}
    origins = {o.key: o.origin for o in resolved.options}
    assert origins["jobs"] == "command line"
    assert origins["prior"] == "ASSAY_PRIOR"
    assert origins["limits.pixels"] == "shipped default"


def test_an_explicit_file_stands_in_for_the_local_ones_but_not_for_overrides(environ, tmp_path):
    write(user(environ), "prior = 0.1\njobs = 9\n")
    write(user(environ, "assay.override.toml"), "[retention]\nkept_days = 2\n")
    named = write(tmp_path / "mine.toml", "prior = 0.2\n")
    s = load(named, environ)
    assert (s.prior, s.jobs, s.retention.kept_days) == (0.2, 0, 2)
    assert load(None, environ | {"ASSAY_CONFIG": str(named)}) == s


def test_a_file_in_the_working_directory_is_never_read(environ, tmp_path, monkeypatch):
    write(tmp_path / "samples" / "assay.toml", 'limits = "nonsense"')
    monkeypatch.chdir(tmp_path / "samples")
    assert load(environ=environ).paths.config == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[limits]\npixel = 3", "limits.pixel is not a setting; the nearest is limits.pixels"),
        ("prio = 0.5", "prio is not a setting; the nearest is prior"),
        ("[limit]\npixels = 3", "limit is not a setting; the nearest is limits"),
        ("[limits]\npixels = true", "limits.pixels = True will not do: expected pixels"),
        ("[limits]\npixels = 1.5", "limits.pixels = 1.5 will not do"),
        ('[limits]\nsize_bytes = "2 parsecs"', 'expected bytes, such as 4096 or "2 GiB"'),
        ("[limits]\nsize_bytes = 0", "limits.size_bytes = 0 will not do"),
        ("prior = 1.0", "prior = 1.0 will not do"),
        ("prior = nan", "prior = nan will not do"),
        ("jobs = -1", "jobs = -1 will not do"),
        ("[policy]\nknown_fakes = 'label'", "the nearest is policy.known_fake"),
        ("[policy]\nknown_fake = 'burn'", "expected one of deliver, label, hold, quarantine, reject"),
        ("[paths]\ndata = 'here'", "expected an absolute path"),
        ('[reasons."generator_metadata.generator_comfyu"]\nllr = 1', "nearest is reasons.generator_metadata.generator_comfyui"),
        ('[reasons."generator_metadata.generator_comfyui"]\nllr = inf', "between -20 and 20"),
        ('[reasons."generator_metadata.generator_comfyui"]\nllr = 1\nkinds = []', "between -20 and 20"),
        ("[models.mine]\nurl = 'x'", "expected a table with"),
        ("limits = 3", "limits is not a setting"),
        ("prior 0.5", "line 1"),
    ],
)  # fmt: skip
def test_an_error_names_the_file_the_key_and_what_is_expected(environ, text, expected):
    path = write(user(environ), text)
    with pytest.raises(ConfigError) as caught:
        load(environ=environ)
    assert str(path) in caught.value.message
    assert expected in caught.value.message
    assert caught.value.hint


def test_an_unknown_variable_names_the_nearest_and_reserved_ones_pass(environ):
    with pytest.raises(
        ConfigError, match="ASSAY_LIMITS_PIXEL is not a setting; the nearest is ASSAY_LIMITS_PIXELS"
    ):
        load(environ=environ | {"ASSAY_LIMITS_PIXEL": "3"})
    load(environ=environ | {"ASSAY_PASSPHRASE": "x"})


@pytest.mark.parametrize("name", ["missing.toml", "folder", "latin.toml"])
def test_a_file_that_cannot_be_read_is_an_error(environ, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match=name):
        load(tmp_path / name, environ)


def test_weights_are_taken_in_both_spellings(environ):
    write(
        user(environ),
        '[reasons."generator_metadata.generator_named"]\nllr = 2\n[reasons.mine.odd]\nllr = 1.5\n',
    )
    s = load(environ=environ)
    assert s.reasons == {"generator_metadata.generator_named": 2.0, "mine.odd": 1.5}
    assert ["mine" in w for w in s.warnings] == [True], "a detector that is not shipped may be misspelt"


def test_own_models_are_passed_on(environ):
    write(user(environ), '[models.mine]\nsource = "file:/m.onnx"\nsize = 3\n')
    assert load(environ=environ).models == {"mine": {"source": "file:/m.onnx", "size": 3}}


def test_xdg_folders_and_named_folders_are_used(environ, tmp_path):
    s = load(environ=environ | {"XDG_DATA_HOME": str(tmp_path / "d"), "ASSAY_PATHS_CACHE": "~/c"})
    assert s.paths.data == tmp_path / "d" / "assay"
    assert s.paths.cache == Path(environ["HOME"]) / "c"
    assert s.paths.database.parent == s.paths.models.parent == s.paths.quarantine.parent == s.paths.data


def test_without_a_home_there_is_a_private_folder_and_a_warning(environ, tmp_path):
    s = load(environ=environ | {"HOME": "/nonexistent"})
    base = tmp_path / f"assay-{os.geteuid()}"
    assert s.paths.data == base / "data"
    assert base.stat().st_mode & 0o777 == 0o700
    assert len(s.warnings) == 1
    assert "no home directory" in s.warnings[0]
    assert (
        load(
            environ=environ | {"HOME": "/nonexistent", "XDG_DATA_HOME": "/d", "XDG_CACHE_HOME": "/c"}
        ).warnings
        == ()
    )


@pytest.mark.parametrize("trap", ["link", "open", "file"])
def test_a_folder_that_somebody_else_prepared_is_refused(environ, tmp_path, trap):
    base = tmp_path / f"assay-{os.geteuid()}"
    if trap == "link":
        base.symlink_to(tmp_path)
    elif trap == "file":
        base.touch()
    else:
        base.mkdir()
        base.chmod(0o777)
    with pytest.raises(ConfigError, match="no home directory"):
        load(environ=environ | {"HOME": "/nonexistent"})


def test_a_path_below_a_home_that_is_not_there_is_refused(environ):
    with pytest.raises(ConfigError, match="no home directory"):
        load(environ=environ | {"HOME": "/nonexistent", "ASSAY_PATHS_DATA": "~/x"})


@given(st.sampled_from(["bytes", "seconds", "pixels"]), st.integers(1, 900), st.data())
def test_a_number_with_a_unit_is_its_multiple(unit, count, data):
    name, scale = data.draw(st.sampled_from(sorted(options.UNITS[unit][0].items())))
    read = options.number(f" {count} {name.upper()} ", unit=unit, low=0, high=1e18, whole=False)
    assert read == pytest.approx(count * scale)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.lists(st.integers()), st.none()))
def test_no_value_of_any_type_breaks_a_reader(value):
    for key, known in config._keys().items():
        try:
            known.read(value)
        except (ValueError, TypeError, OverflowError):
            continue
        if not isinstance(known.default, bool | tuple):
            assert not isinstance(value, bool | list), key


def test_limits_cross_to_workers_as_plain_numbers():
    assert set(Limits().as_json()) == {f.name for f in fields(Limits)}
    assert all(type(v) in {int, float} for v in Limits().as_json().values())
