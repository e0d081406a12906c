import io

from rich.console import Console

from edge.provisioning.probe import Probed, Seen
from linli.commands.device import tabled
from telemetry.quality import Quality


def shown(probed: Probed) -> str:
    console = Console(width=160, file=io.StringIO())
    with console.capture() as capture:
        console.print(tabled(probed))
    return capture.get()


def seen(**values: object) -> Seen:
    return Seen(values=values, at=None, event_id=None, quality=Quality.GOOD, faults={"battery": "not a number"})  # type: ignore[arg-type]  # any value


def test_each_value_of_a_message_stands_on_a_line_of_its_own() -> None:
    lines = shown(Probed(profile="contact", where="local", observations=(seen(door_open=True, tamper=False),))).splitlines()
    assert [line.split("│")[1].strip() for line in lines if "=" in line] == ["door_open = True", "tamper = False"]
    assert any("battery: not a number" in line for line in lines)


def test_what_a_terminal_would_obey_is_taken_out_of_what_a_device_said() -> None:
    text = shown(Probed(profile="contact", where="local", observations=(seen(label="\x1b[31m[bold]car\n"),)))
    assert "label = \ufffd[31m[bold]car\ufffd" in text
