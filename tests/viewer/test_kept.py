"""What is kept: within its size, made once, and not at all where there is nothing."""

import threading
import time

import pytest

from hviskd.viewer.kept import Kept


def test_the_longest_unused_goes_first_and_what_is_too_large_is_not_kept():
    kept: Kept[str, bytes] = Kept(10, len)
    for key in "abc":
        assert kept.made(key, lambda: b"four") == b"four"
        kept.made("a", lambda: pytest.fail("made twice"))
    assert [kept.get(key) for key in "abc"] == [b"four", None, b"four"]
    assert kept.made("large", lambda: bytes(11)) == bytes(11)
    assert kept.get("large") is None
    assert kept.get("a") == b"four"


def test_many_at_once_wait_for_one_to_make_it():
    kept: Kept[int, bytes] = Kept(10, len)
    made = []

    def make():
        made.append(threading.get_ident())
        time.sleep(0.05)
        return b"it"

    threads = [threading.Thread(target=kept.made, args=(1, make)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1
    assert kept.get(1) == b"it"


def test_who_asks_while_it_is_put_away_waits_for_it(monkeypatch):
    kept: Kept[int, bytes] = Kept(10, len)
    answers, put_away = [], kept._keep
    asking = threading.Thread(target=lambda: answers.append(kept.made(1, lambda: b"two")))

    def slowly(key, value):
        if not asking.ident:
            asking.start()
            asking.join(0.05)
        put_away(key, value)

    monkeypatch.setattr(kept, "_keep", slowly)
    answers.append(kept.made(1, lambda: b"one"))
    asking.join(10)
    assert answers == [b"one", b"one"]


def test_a_failure_and_nothing_leave_nothing_behind():
    kept: Kept[int, bytes] = Kept(10, len)
    with pytest.raises(ZeroDivisionError):
        kept.made(1, lambda: bytes(1 // 0))
    assert kept.made(1, lambda: None) is None
    assert kept.made(1, lambda: b"now") == b"now"


def test_one_thing_may_be_made_of_another():
    kept: Kept[int, bytes] = Kept(10, len)
    assert kept.made(1, lambda: kept.made(2, lambda: b"ab") * 2) == b"abab"
    assert kept.get(2) == b"ab"
