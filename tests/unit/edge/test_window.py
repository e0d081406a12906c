"""What the uplink sends next."""

from edge.window import HANDFUL, OUTAGE_S, RESEND_S, WINDOW, Next, Window
from telemetry.batch import Lane
from telemetry.presence import Span

OLD, LIVE = "a" * 16, "b" * 16


def window(*spans: Span) -> Window:
    made = Window(0.0)
    made.refresh(list(spans), LIVE, 0.0)
    return made


def drained(made: Window, now: float, limit: int = 10_000) -> list[tuple[str, Lane, int]]:
    out: list[tuple[str, Lane, int]] = []
    while (upcoming := made.choose(now)) and len(out) < limit:
        for seq in range(upcoming.after + 1, upcoming.after + upcoming.limit + 1):
            made.sent(upcoming.epoch, upcoming.lane, seq, now)
            out.append((upcoming.epoch, upcoming.lane, seq))
    return out


def test_urgent_goes_before_bulk_and_live_before_backfill() -> None:
    made = window(
        Span(OLD, Lane.URGENT, 1, 1), Span(OLD, Lane.BULK, 1, 1), Span(LIVE, Lane.URGENT, 1, 1), Span(LIVE, Lane.BULK, 1, 1)
    )
    order = [(epoch, lane) for epoch, lane, _ in drained(made, 10.0)]
    assert order == [(OLD, Lane.URGENT), (LIVE, Lane.URGENT), (LIVE, Lane.BULK), (OLD, Lane.BULK)]


def test_no_more_than_the_window_is_on_its_way() -> None:
    made = window(Span(LIVE, Lane.BULK, 1, 5_000))
    assert len(drained(made, 0.0)) == WINDOW[Lane.BULK]
    made.acknowledged(LIVE, Lane.BULK, 10, 0.0)
    assert [seq for *_, seq in drained(made, 0.0)] == list(range(WINDOW[Lane.BULK] + 1, WINDOW[Lane.BULK] + 11))


def test_backfill_keeps_to_the_credit() -> None:
    made = window(Span(OLD, Lane.BULK, 1, 50))
    made.heard(credit=5.0, since=7, now=0.0)
    assert len(drained(made, 0.0)) <= 5
    assert len(drained(made, 1.0)) == 5
    assert made.choose(1.0) is None


def test_an_overdue_acknowledgement_sends_again_from_the_first_missing_one_and_waits_longer_each_time() -> None:
    made = window(Span(LIVE, Lane.URGENT, 1, 3))
    drained(made, 0.0)
    made.acknowledged(LIVE, Lane.URGENT, 1, 0.0)
    assert not made.resend(RESEND_S - 0.1)
    assert made.resend(RESEND_S)
    assert made.choose(RESEND_S) == Next(LIVE, Lane.URGENT, 1, 2)
    assert made.sent(LIVE, Lane.URGENT, 2, RESEND_S)  # it had gone out before
    made.sent(LIVE, Lane.URGENT, 3, RESEND_S)
    assert not made.resend(RESEND_S * 2.9)
    assert made.resend(RESEND_S * 3.1)


def test_the_clock_of_a_resend_starts_when_the_batch_goes_out() -> None:
    made = window(Span(LIVE, Lane.URGENT, 1, 1))
    drained(made, 20 * RESEND_S)
    assert not made.resend(20.5 * RESEND_S)
    assert made.resend(21 * RESEND_S)


def test_an_old_acknowledgement_takes_nothing_back() -> None:
    made = window(Span(LIVE, Lane.URGENT, 5, 9))
    drained(made, 0.0)
    made.acknowledged(LIVE, Lane.URGENT, 8, 0.0)
    made.acknowledged(LIVE, Lane.URGENT, 6, 0.0)
    made.rewind(0.0)
    assert made.choose(0.0) == Next(LIVE, Lane.URGENT, 8, 1)


def test_an_outage_is_silence_while_something_waits() -> None:
    made = window(Span(LIVE, Lane.BULK, 1, 1))
    assert not made.is_idle()
    assert not made.heard(50.0, 7, OUTAGE_S - 1)
    assert made.heard(50.0, 7, 2 * OUTAGE_S)
    made.acknowledged(LIVE, Lane.BULK, 1, 2 * OUTAGE_S)
    assert made.is_idle()
    made.quiet(9 * OUTAGE_S)
    assert not made.heard(50.0, 7, 9 * OUTAGE_S + 1)


def test_the_first_word_after_a_silence_sends_everything_again_at_once() -> None:
    made = window(Span(LIVE, Lane.BULK, 1, 2))
    drained(made, 0.0)
    assert made.choose(RESEND_S + 1) is None
    made.heard(50.0, 7, RESEND_S + 1)
    assert made.choose(RESEND_S + 1) == Next(LIVE, Lane.BULK, 0, 2)


def test_a_centre_that_listens_only_since_lately_is_sent_everything_again() -> None:
    made = window(Span(LIVE, Lane.BULK, 1, 2))
    drained(made, 0.0)
    made.heard(50.0, 7, 1.0)
    made.heard(50.0, 7, 1.1)
    assert made.choose(1.1) is None
    made.heard(50.0, 8, 1.2)
    assert made.choose(1.2) == Next(LIVE, Lane.BULK, 0, 2)


def test_a_handful_of_older_events_goes_before_the_current_ones() -> None:
    made = window(Span(OLD, Lane.URGENT, 1, HANDFUL), Span(LIVE, Lane.URGENT, 1, 1), Span(LIVE, Lane.BULK, 1, 1))
    order = dict.fromkeys((epoch, lane) for epoch, lane, _ in drained(made, 0.0))
    assert list(order) == [(OLD, Lane.URGENT), (LIVE, Lane.URGENT), (LIVE, Lane.BULK)]


def test_many_older_events_wait_for_the_current_ones() -> None:
    made = window(Span(OLD, Lane.URGENT, 1, HANDFUL + 1), Span(LIVE, Lane.URGENT, 1, 1))
    assert made.choose(0.0) == Next(LIVE, Lane.URGENT, 0, 1)


def test_what_was_chosen_before_everything_is_to_be_sent_again_does_not_stand() -> None:
    made = window(Span(LIVE, Lane.URGENT, 1, 3))
    made.sent(LIVE, Lane.URGENT, 1, 0.0)
    chosen = made.choose(0.0)
    assert chosen == Next(LIVE, Lane.URGENT, 1, 2) and made.stands(chosen)
    made.rewind(0.0)
    assert not made.stands(chosen)
    chosen = made.choose(0.0)
    assert chosen is not None and made.stands(chosen)
    made.acknowledged(LIVE, Lane.URGENT, 2, 0.0)
    assert not made.stands(chosen)
    assert not made.stands(Next(OLD, Lane.URGENT, 0, 1))
