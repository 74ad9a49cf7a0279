from dataclasses import replace

from assay.desk.uninstall import inventory, remove
from assay.settings import Paths


def test_everything_that_was_stored_is_listed_and_goes(stores, settings, taken, tmp_path):
    taken()
    cache = tmp_path / "home" / "assay"
    cache.mkdir(parents=True)
    (cache / "x").write_bytes(b"cached")
    config = tmp_path / "config" / "assay" / "assay.toml"
    config.parent.mkdir(parents=True)
    config.write_text("")
    everything = replace(settings, paths=replace(settings.paths, cache=cache, config=(config,)))
    stores.database.close()
    listed = inventory(everything)
    assert listed.quarantined == 1
    assert {b.path for b in listed.belongings} >= {
        settings.paths.database,
        settings.paths.quarantine,
        cache,
        config,
    }
    assert remove(listed) == []
    assert not settings.paths.data.exists()
    assert not cache.exists()
    assert not config.parent.exists()
    assert inventory(everything).belongings == ()


def test_a_shared_folder_loses_nothing_of_others(tmp_path, stores, settings):
    home = tmp_path / "home"
    (home / "photos").mkdir(parents=True)
    (home / "photos" / "a.jpg").write_bytes(b"mine")
    (home / "assay.db").write_bytes(b"")
    mistaken = replace(settings, paths=Paths(home, home))
    assert remove(inventory(mistaken)) == []
    assert [p.name for p in home.iterdir()] == ["photos"]


def test_nothing_stored_is_nothing_listed(settings):
    listed = inventory(settings)
    assert (listed.belongings, listed.size, listed.quarantined) == ((), 0, 0)
    assert remove(listed) == []


def test_a_link_goes_and_what_it_points_to_stays(settings, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_bytes(b"")
    settings.paths.data.mkdir()
    settings.paths.media.symlink_to(tmp_path / "elsewhere")
    assert remove(inventory(settings)) == []
    assert (tmp_path / "elsewhere" / "a").exists()
