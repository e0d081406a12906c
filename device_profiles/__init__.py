"""What we know of device models: profiles in YAML, their decoders, and the planner that reads few registers at once.

``load_library`` gives profiles. For Modbus: ``plan`` the requests, ``decode`` the answers, ``encode`` for simulators.
For MQTT: ``subscriptions`` to listen on, ``extract`` observations from messages. ``sampling`` says how each metric is thinned.
``with_parameters`` and ``with_inputs`` bind what the site alone knows (``parameter_faults``, ``input_faults``).
``unwrap`` follows a counter over its wraps; ``count_of`` finds it again from what it had counted.
Pure but for ``load_library`` and ``read_text``, which read files.
"""

from device_profiles.counters import Count, count_of, unwrap
from device_profiles.decoding import Answer, Decoded, decode, encode
from device_profiles.format import Table
from device_profiles.inputs import Meaning, input_faults, with_inputs
from device_profiles.library import Library, load_file, load_library
from device_profiles.messages import Keys, Message, Observation, extract
from device_profiles.payload import PayloadInvalid
from device_profiles.planner import Request, plan
from device_profiles.profile import Point, Profile, Sampling, sampling
from device_profiles.site import parameter_faults, with_parameters
from device_profiles.text_file import read_text
from device_profiles.topics import address_faults, subscriptions

__all__ = [
    "Answer",
    "Count",
    "Decoded",
    "Keys",
    "Library",
    "Meaning",
    "Message",
    "Observation",
    "PayloadInvalid",
    "Point",
    "Profile",
    "Request",
    "Sampling",
    "Table",
    "address_faults",
    "count_of",
    "decode",
    "encode",
    "extract",
    "input_faults",
    "load_file",
    "load_library",
    "parameter_faults",
    "plan",
    "read_text",
    "sampling",
    "subscriptions",
    "unwrap",
    "with_inputs",
    "with_parameters",
]
