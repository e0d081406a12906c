"""``linli device add --parameter``: what only the site knows, as the installer types it."""

from click.testing import CliRunner

from linli.commands.device import device

METER = ("add", "--id", "b3-feeder", "--profile", "acrel-adl3000", "--bus", "rs485-1", "--unit", "7")


def test_a_ratio_that_is_no_number_is_refused_before_anything_is_read() -> None:
    told = CliRunner().invoke(device, [*METER, "--parameter", "ct=forty"])
    assert told.exit_code == 2 and "ct='forty' is no number" in told.stderr


def test_a_ratio_without_a_name_is_refused() -> None:
    told = CliRunner().invoke(device, [*METER, "--parameter", "40"])
    assert told.exit_code == 2 and "'40' is not name=value" in told.stderr
