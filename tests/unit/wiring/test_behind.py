"""What a router of a cluster has before it, from what the log, its group and the store's copy of its positions say."""

import pytest

from gateway.wiring.cluster_commands import behind


@pytest.mark.parametrize(
    "before, last, finished, events, gap",
    [
        pytest.param({1: -1}, {1: -1}, [{}, {}], 0, 0, id="an empty partition"),
        pytest.param({1: -1}, {1: 9}, [{}, {}], 10, 0, id="nobody knows a place: all of it"),
        pytest.param({1: -1}, {1: 9}, [{1: 9}, {}], 0, 0, id="all is finished"),
        pytest.param({1: -1}, {1: 9}, [{1: 7}, {1: 4}], 2, 0, id="the store's copy is late"),
        pytest.param({1: -1}, {1: 9}, [{}, {1: 4}], 5, 0, id="the group lost its places"),
        pytest.param({1: 6}, {1: 9}, [{1: 3}, {}], 3, 3, id="retention overtook it"),
        pytest.param({1: 6}, {1: 9}, [{1: 3}, {}, {1: 6}], 3, 0, id="retention overtook it and a worker counted that"),
        pytest.param({1: 8}, {1: 9}, [{1: 3}, {}, {1: 6}], 1, 2, id="retention went on"),
        pytest.param({1: 6}, {1: 6}, [{1: 3}, {}], 0, 3, id="retention overtook it and nothing is left"),
        pytest.param({1: -1, 2: -1}, {1: 9, 2: 1}, [{1: 5}, {}], 6, 0, id="a partition that was added"),
        pytest.param({1: -1}, {1: 2}, [{1: 9}, {}], 0, 0, id="a topic made anew"),
        pytest.param({1: -1}, {1: 2}, [{1: 2, 8: 1}, {8: 3}], 0, 0, id="a source that was removed"),
    ],
)
def test_backlog_and_gap(before, last, finished, events, gap) -> None:
    found = behind(before, last, *finished)

    assert (found.events, found.gap) == (events, gap)


def test_the_oldest_is_looked_for_past_what_is_finished_and_still_there() -> None:
    assert behind({1: -1, 2: 6}, {1: 9, 2: 9}, {1: 4, 2: 3}).places == {1: 4, 2: 6}
