"""What a verb says without asking a device: settings, doubts, and errors on their way through the socket."""

import pytest

from edge.control import failed, restored
from edge.provisioning.add import Implausible
from edge.provisioning.probe import PointRead, Probed, Seen
from edge.provisioning.scan import Setting, parse_setting
from edge.provisioning.site import AgentBusy
from telemetry.errors import (
    BrokerUnavailable,
    BusUnavailable,
    ConfigInvalid,
    DeviceRefused,
    DeviceTimeout,
    LinliError,
    Problem,
)
from telemetry.quality import Quality

PROBLEM = Problem("devices.yaml", "devices[0].id", "stands twice", "rename one")


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("9600", Setting(9600, "N", 1)),
        ("19200-8E1", Setting(19200, "E", 1)),
        ("4800o2", Setting(4800, "O", 2)),
        (" 115200/N2 ", Setting(115200, "N", 2)),
    ],
)
def test_a_serial_setting_is_read_as_installers_write_it(text: str, setting: Setting) -> None:
    assert parse_setting(text) == setting
    assert parse_setting(str(setting)) == setting


@pytest.mark.parametrize("text", ["", "fast", "9600-7E1", "200", "2000000", "9600-8N3", "9600;rm"])
def test_what_is_no_serial_setting_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="9600"):
        parse_setting(text)


def point(
    quality: Quality = Quality.GOOD, value: float | None = 1.0, metric: str | None = "level", reason: str = ""
) -> PointRead:
    return PointRead(
        point="level", metric=metric, value=value, unit="m", words=(1,), quality=quality, reason=reason, latency_ms=1.0
    )


def test_a_device_whose_points_are_all_good_leaves_no_doubt() -> None:
    assert Probed(profile="p", where="w", points=(point(),)).doubts == ()


def test_a_bad_or_missing_point_is_a_doubt_with_its_reason() -> None:
    probed = Probed(profile="p", where="w", points=(point(), point(Quality.BAD, None, reason="out of range"), point(value=None)))
    assert probed.doubts == (("level", "out of range"), ("level", "no value"))


def test_a_helper_register_is_no_doubt() -> None:
    assert Probed(profile="p", where="w", points=(point(), point(Quality.BAD, None, metric=None))).doubts == ()


def test_a_device_that_its_bridge_calls_offline_has_said_nothing() -> None:
    offline = Seen(values={"online": False}, at=None, event_id=None, quality=Quality.GOOD, faults={})
    spoke = Seen(values={"door_open": True}, at=None, event_id=None, quality=Quality.GOOD, faults={})
    assert Probed(profile="p", where="w", observations=(offline,)).doubts == (("online", "it is offline, and said nothing else"),)
    assert Probed(profile="p", where="w", observations=(offline, spoke)).doubts == ()


def test_a_device_that_said_something_leaves_no_doubt_and_a_mute_one_does() -> None:
    seen = Seen(values={"door_open": True}, at=None, event_id=None, quality=Quality.GOOD, faults={})
    assert Probed(profile="p", where="w", observations=(seen,)).doubts == ()
    assert Probed(profile="p", where="w").doubts == (("*", "no message came"),)
    assert Probed(profile="p", where="w", undecodable=("not JSON",)).doubts == (("*", "not JSON"),)


@pytest.mark.parametrize("error", [ConfigInvalid([PROBLEM, PROBLEM]), Implausible((PROBLEM,))])
def test_problems_cross_the_socket_whole(error: ConfigInvalid | Implausible) -> None:
    back = restored(failed(error))
    assert type(back) is type(error)
    assert isinstance(back, ConfigInvalid | Implausible)
    assert back.problems == error.problems


@pytest.mark.parametrize(
    "error", [BusUnavailable("no port"), BrokerUnavailable("no"), DeviceTimeout("mute"), AgentBusy("busy"), LinliError("other")]
)
def test_an_error_comes_out_of_the_socket_as_it_went_in(error: LinliError) -> None:
    back = restored(failed(error))
    assert (type(back), str(back)) == (type(error), str(error))


def test_an_error_that_needs_more_than_words_keeps_its_words() -> None:
    assert str(restored(failed(DeviceRefused("unit 1: exception 2", 2)))) == "unit 1: exception 2"
