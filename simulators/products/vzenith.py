"""A Vzenith plate camera: one recognition a message, the plate as base64 of UTF-8, its own clock right, a beat every 10 s."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from simulators.products.post import Moment, Post, Said, beats, compact
from simulators.scenario import Cue, Plate
from telemetry.privacy import mask

CHINA = timezone(timedelta(hours=8))
KEEP_ALIVE_S = 10.0
_COLOURS = {"blue": 1, "yellow": 2, "white": 3, "black": 4, "green": 5, "yellow-green": 6}
_TYPES = {"blue": 1, "yellow": 3, "white": 5, "black": 2, "green": 11, "yellow-green": 12}


class Vzenith:
    """``serial`` is the camera's number, which its topics carry."""

    def __init__(self, device: str, serial: str) -> None:
        self._device = device
        self._serial = serial

    @property
    def name(self) -> str:
        return f"sim-{self._device}"

    def will(self) -> None:
        return None

    def greet(self, moment: Moment) -> tuple[Post, ...]:
        return (self._post("keep_alive", f"k{int(moment.virtual)}", moment, {}),)

    def beat(self, after: float, moment: Moment) -> tuple[Post, ...]:
        return self.greet(moment) if beats(KEEP_ALIVE_S, after, moment.virtual) else ()

    def say(self, cue: Cue, moment: Moment) -> tuple[Post, ...]:
        plate = cue.step
        assert isinstance(plate, Plate)
        number = round(cue.began * 1000)
        alarm = {
            "channel": 0,
            "deviceName": base64.b64encode(self._device.encode()).decode(),
            "ipaddr": "192.0.2.50",
            "serialno": self._serial,
            "result": {"PlateResult": _result(plate, number, moment.wall)},
        }
        values = {"event": "plate", "plate": mask(plate.plate), "plate_colour": plate.colour}
        said = Said(self._device, dict(values), event=True, at=moment.wall // 1_000_000 * 1_000_000)  # it tells whole seconds
        return (self._post("ivs_result", f"p{number}", moment, {"AlarmInfoPlate": alarm})._replace(said=said),)

    def _post(self, name: str, id_: str, moment: Moment, payload: dict[str, Any]) -> Post:
        head = {"id": id_, "bv": 10021, "sn": self._serial, "name": name, "version": "1.0", "timestamp": moment.wall // 1_000_000}
        return Post(f"device/{self._serial}/message/up/{name}", compact({**head, "payload": payload}))


def _result(plate: Plate, number: int, wall: int) -> dict[str, Any]:
    clock = datetime.fromtimestamp(wall // 1_000_000, UTC).astimezone(CHINA)
    decimal = {f"dec{name}": getattr(clock, field) for name, field in _DECIMAL}
    return {
        "license": base64.b64encode(plate.plate.encode()).decode(),
        "confidence": plate.confidence,
        "colorType": _COLOURS[plate.colour],
        "type": _TYPES[plate.colour],
        "direction": plate.direction,
        "triggerType": 1,
        "is_fake_plate": int(plate.fake),
        "isoffline": 0,
        "plateid": number,
        "carColor": 0,
        "car_brand": {"brand": 7, "type": 255, "year": 65535},
        "location": {"RECT": {"left": 640, "top": 388, "right": 772, "bottom": 430}},
        "timeStamp": {"Timeval": {"sec": wall // 1_000_000, "usec": wall % 1_000_000, **decimal}},
        "full_image_content": "",
        "small_image_content": "",
    }


_DECIMAL = (("year", "year"), ("mon", "month"), ("day", "day"), ("hour", "hour"), ("min", "minute"), ("sec", "second"))
