"""Tables of names."""

from __future__ import annotations

from assay.media.identify import family_of
from assay.media.naming import ALIKE, EXTENSIONS, SYNONYMS


def test_extensions_are_lower_case_and_synonyms_end_at_names_in_use():
    assert all(extension == extension.lower() for extension in EXTENSIONS)
    assert not set(SYNONYMS.values()) & set(SYNONYMS)


def test_no_row_of_alike_types_mixes_pictures_with_anything():
    for row in ALIKE:
        families = {family_of(t) for t in row}
        assert "image" not in families or families <= {"image"} or "image/svg+xml" in row
