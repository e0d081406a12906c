"""A Frigate recorder: the life of each tracked object as ``new``, ``update`` and ``end``, with the object before and after.

Only ``after`` counts; ``current_zones`` is where the object is, ``entered_zones`` where it has been.
"""

from typing import Any

from simulators.products.post import Moment, Post, Said, compact
from simulators.scenario import TRACK_ENTERS_S, TRACK_STOPS_S, Cue, Track, has_stopped
from telemetry.metric import Value

_EVENTS = {"new": "appeared", "enters": "updated", "stops": "updated", "end": "gone"}
_TYPES = {"new": "new", "enters": "update", "stops": "update", "end": "end"}


class Frigate:
    """``cameras`` maps a device to its camera's name."""

    def __init__(self, prefix: str, cameras: dict[str, str]) -> None:
        self._prefix = prefix
        self._cameras = cameras

    @property
    def name(self) -> str:
        return f"sim-{self._prefix.replace('/', '-')}"

    def will(self) -> Post:
        return Post(f"{self._prefix}/available", b"offline", retain=True)

    def greet(self, moment: Moment) -> tuple[Post, ...]:
        return (Post(f"{self._prefix}/available", b"online", retain=True),)

    def beat(self, after: float, moment: Moment) -> tuple[Post, ...]:
        return ()

    def say(self, cue: Cue, moment: Moment) -> tuple[Post, ...]:
        track = cue.step
        assert isinstance(track, Track)
        before = self._object(cue, track, cue.at - 0.2 - cue.began, moment, ended=False)
        after = self._object(cue, track, cue.at - cue.began, moment, ended=cue.phase == "end")
        values: dict[str, Value] = {"event": _EVENTS[cue.phase], "object": str(after["id"]), "label": track.label}
        if after["current_zones"]:
            values["zones"] = track.zone
        said = Said(track.device, values, event=True, at=moment.wall)
        return (
            Post(f"{self._prefix}/events", compact({"type": _TYPES[cue.phase], "before": before, "after": after}), said=said),
        )

    def _object(self, cue: Cue, track: Track, age_s: float, moment: Moment, ended: bool) -> dict[str, Any]:
        began = round(moment.dated(cue.began), 6)
        inside, stopped = age_s >= TRACK_ENTERS_S, has_stopped(track, age_s)
        return {
            "id": f"{began:.6f}-{_suffix(track.device)}",
            "camera": self._cameras[track.device],
            "frame_time": moment.wall / 1e6,
            "label": track.label,
            "sub_label": None,
            "top_score": 0.91,
            "score": 0.88,
            "false_positive": False,
            "start_time": began,
            "end_time": moment.wall / 1e6 if ended else None,
            "box": [312, 240, 655, 470],
            "area": 78890,
            "ratio": 1.49,
            "region": [200, 100, 760, 660],
            "current_zones": [track.zone] if inside else [],
            "entered_zones": [track.zone] if inside else [],
            "has_snapshot": True,
            "has_clip": True,
            "active": not stopped,
            "stationary": stopped,
            "motionless_count": round(max(0.0, age_s - TRACK_STOPS_S) * 5),
            "position_changes": 1,
            "attributes": {},
            "current_attributes": [],
        }


def _suffix(device: str) -> str:
    """Six characters that tell objects apart that two cameras saw in the same microsecond."""
    return f"{device.replace('-', ''):0<6}"[:6]
