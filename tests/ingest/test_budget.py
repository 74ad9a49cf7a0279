from __future__ import annotations

import pytest

from assay.errors import Refused
from assay.ingest.budget import MOST_PREVIEWS, Budget


def test_members_and_bytes_are_spent_by_all_together() -> None:
    budget = Budget(members=2, unpacked_bytes=10)
    budget.spend(4)
    budget.spend(6)
    with pytest.raises(Refused) as e:
        budget.spend(0)
    assert e.value.code == "over_members"


def test_bytes_may_run_out_before_members_do() -> None:
    with pytest.raises(Refused) as e:
        Budget(members=2, unpacked_bytes=10).spend(11)
    assert e.value.code == "over_unpacked"


def test_previews_are_kept_of_the_outermost_sample_and_of_the_first_members() -> None:
    budget = Budget(members=1, unpacked_bytes=1)
    wanted = [budget.wants_preview(1) for _ in range(MOST_PREVIEWS + 5)]
    assert wanted == [True] * MOST_PREVIEWS + [False] * 5
    assert budget.wants_preview(0)
