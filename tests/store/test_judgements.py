from assay.store.judgements import Judgements

DIGEST = "a" * 64


def test_an_unknown_digest_has_no_standing(database):
    assert Judgements(database).known(DIGEST) is None


def test_a_later_word_on_a_digest_replaces_the_earlier(database):
    judgements = Judgements(database)
    for standing in ("known_original", "known_fake"):
        with database.write() as connection:
            judgements.mark_known(connection, DIGEST, standing, actor="ann", reason="seen")
    assert judgements.known(DIGEST) == "known_fake"
    assert [k.actor for k in judgements.all_known()] == ["ann"]


def test_every_label_is_kept_until_it_is_removed(database):
    judgements = Judgements(database)
    with database.write() as connection:
        judgements.label(connection, DIGEST, "fake", actor="ann", reason="\udce9\0")
        judgements.label(connection, DIGEST, "bona_fide", actor="bob", reason="")
    assert judgements.labels_of(DIGEST) == ["fake", "bona_fide"]
    with database.write() as connection:
        assert judgements.remove_labels(connection, DIGEST) == 2
        assert judgements.remove_known(connection, DIGEST) == 0
    assert judgements.labels_of(DIGEST) == []
