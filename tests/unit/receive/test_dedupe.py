from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.receive.dedupe import Claims

KEYS = st.sampled_from([b"a", b"b", b"c"])
UNDECIDED = 30.0


class Append:
    """An append in flight."""

    def __init__(self, key: bytes) -> None:
        self.key = key


def test_a_key_nobody_claimed_is_new():
    claims: Claims[Append] = Claims(undecided_after=UNDECIDED)

    assert claims.in_flight(b"a") is None
    assert not claims.is_confirmed(b"a")


def test_a_confirmed_key_is_remembered_until_newer_ones_push_it_out():
    claims: Claims[Append] = Claims(undecided_after=UNDECIDED, max_ids=2)

    for key in (b"a", b"b", b"c"):
        append = Append(key)
        claims.claim(key, append, 0.0)
        claims.confirm(key, append)

    assert [claims.is_confirmed(key) for key in (b"a", b"b", b"c")] == [False, True, True]


def test_with_no_room_nothing_is_remembered():
    claims: Claims[Append] = Claims(undecided_after=UNDECIDED, max_ids=0)
    append = Append(b"a")
    claims.claim(b"a", append, 0.0)

    claims.confirm(b"a", append)

    assert not claims.is_confirmed(b"a")
    assert claims.in_flight(b"a") is None


def test_an_undecided_claim_is_released_after_its_time_and_not_before():
    claims: Claims[Append] = Claims(undecided_after=UNDECIDED)
    old, young = Append(b"a"), Append(b"b")
    claims.claim(b"a", old, 0.0)
    claims.claim(b"b", young, 1.0)

    assert claims.expire(29.9) == []
    assert claims.expire(30.0) == [old]
    assert claims.in_flight(b"a") is None
    assert claims.in_flight(b"b") is young


def test_a_late_failure_leaves_the_next_claim_alone():
    claims: Claims[Append] = Claims(undecided_after=UNDECIDED)
    first, second = Append(b"a"), Append(b"a")
    claims.claim(b"a", first, 0.0)
    claims.expire(30.0)
    claims.claim(b"a", second, 31.0)

    claims.release(b"a", first)

    assert claims.in_flight(b"a") is second


def test_a_key_confirmed_again_counts_as_the_newest():
    claims: Claims[Append] = Claims(undecided_after=UNDECIDED, max_ids=2)
    for key in (b"a", b"b", b"a", b"c"):
        claims.confirm(key, Append(key))

    assert [claims.is_confirmed(key) for key in (b"a", b"b", b"c")] == [True, False, True]


class ClaimsMachine(RuleBasedStateMachine):
    """Any order of claims, outcomes and expiries, against a plain model of what is durable."""

    max_ids: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.claims: Claims[Append]
        self.open: dict[Append, float] = {}  # every append the log has not decided, expired or not
        self.held: dict[bytes, Append] = {}
        self.durable: list[bytes] = []  # in order of confirmation

    @initialize()
    def begin(self) -> None:
        self.claims = Claims(undecided_after=UNDECIDED, max_ids=self.max_ids)

    @rule(key=KEYS)
    def deliver(self, key: bytes) -> None:
        if self.claims.in_flight(key) is not None or self.claims.is_confirmed(key):
            return
        append = Append(key)
        self.claims.claim(key, append, self.now)
        self.open[append] = self.now
        self.held[key] = append

    @precondition(lambda self: self.open)
    @rule(data=st.data(), durable=st.booleans())
    def decide(self, data: st.DataObject, *, durable: bool) -> None:
        append = data.draw(st.sampled_from(list(self.open)))
        del self.open[append]
        if self.held.get(append.key) is append:
            del self.held[append.key]
        if durable:
            self.claims.confirm(append.key, append)
            self.durable = [key for key in self.durable if key != append.key] + [append.key]
        else:
            self.claims.release(append.key, append)

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        overdue = {append for key, append in self.held.items() if self.now - self.open[append] >= UNDECIDED}

        expired = self.claims.expire(self.now)

        assert set(expired) == overdue
        self.held = {key: append for key, append in self.held.items() if append not in overdue}

    @invariant()
    def only_durable_keys_are_confirmed(self) -> None:
        remembered = self.durable[-self.max_ids :]
        for key in (b"a", b"b", b"c"):
            assert self.claims.is_confirmed(key) == (key in remembered)

    @invariant()
    def a_claim_is_held_by_its_append_alone(self) -> None:
        assert {key: self.claims.in_flight(key) for key in self.held} == self.held
        assert self.claims.undecided == len(self.held)


TestClaimsMachine = ClaimsMachine.TestCase
TestClaimsMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
