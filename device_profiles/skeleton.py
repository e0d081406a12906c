"""The beginning of a profile for a new device: a commented file in which each blank says what goes there.

``<...>`` is a blank. A file with a blank left is refused by the checks; filled by the manual it is a profile.
"""

_HEAD = """# {id}: a device profile. Fill every <blank>, then: linli profile check {id}.yaml && linli profile test {id}.yaml
# The guide is docs/profiles.md; linli profile list shows what others look like, linli profile schema helps an editor.
id: {id}
version: 1                     # raise it when the meaning of a point changes
kind: <kind>                   # access, camera, parking, environment, energy or safety; it decides which metrics there are
vendor: <maker>
model: <model as printed on the label>
name: {{zh: <中文名称>, en: <what it is>}}
confidence: single             # confirmed (two sources agree), single, uncertain
notes: []                      # what an installer should know, a sentence each
sources: [<manual or address>] # where the facts come from
"""

_MODBUS = """
modbus:
  link: {baud: 9600, parity: N, stop_bits: 1, unit_id: 1}   # factory settings; leave out what the manual does not say
  interval_s: 10               # how often to read
  max_registers: 125           # longest request that the device answers
  max_gap: 0                   # unused registers that it lets you read across
  address_base: 0              # what the manual counts from: 0, 1 or uncertain. Addresses below are always 0-based:
                               # 40001 is holding register 0, 30001 input register 0

points:
  # A point is named after a metric of the kind (telemetry/metric.py). value = raw * scale + offset, in unit.
  <metric>:
    unit: <unit the device speaks>   # degC, kW, mm ...; it is converted to the metric's own
    scale: 0.1
    range: [<lowest>, <highest>]     # what lies outside is no measurement
    deadband: 0                      # smaller changes make no reading
    # invalid: [0x7FFF]              # raw values that mean: no measurement
    # type: uint16, int32, float32, bit, ascii ...; order: CDAB has the low word first
    modbus: {table: holding, address: 0x0000, type: int16}

examples:
  # At least one, best from the manual (origin: manual) or from the device (recorded); computed when you worked it out.
  vectors:
    - {origin: computed, point: <metric>, words: [<raw>], gives: <value in the metric's unit>}
  # frames:
  #   - {origin: manual, tx: "01 03 00 00 00 02 C4 0B", rx: "01 03 04 02 92 FF 9B 5A 3D", gives: {humidity: 65.8}}
"""

_MQTT = """
mqtt:
  # interval_s: 300            # how often it speaks, where it promises to
  messages:
    # {name} is filled by each device's address; {name...} may be several levels; + is any one level.
    - topic: "<first level>/{name}"
      # payload: text          # where it is one plain value and not JSON; its path is $
      # when: {type: state}    # only messages that hold this
      # time: {path: time, format: epoch_s}   # its own clock: epoch_s, epoch_ms, epoch_us or iso; zone: Asia/Shanghai if local
      values: {<metric>: <path in the message>}
    # - topic: "<first level>/{name}/availability"
    #   retained: current
    #   values: {online: state}
    # LoRaWAN: carrier: lorawan in place of topic; paths are of the decoded object.

points:
  # A point is named after a metric of the kind (telemetry/metric.py), in the unit that the device speaks.
  <metric>: {unit: <unit the device speaks>, range: [<lowest>, <highest>], deadband: 0}
  # online: {map: {online: true, offline: false}}
  # plate: {personal: plate}   # leaves the gateway masked, with a keyed hash beside it

examples:
  # At least one, best recorded from the device: mosquitto_sub -v -t '<first level>/#'
  messages:
    - origin: recorded
      topic: <first level>/one
      parameters: {name: one}
      payload: {<path in the message>: <raw>}
      gives: [{values: {<metric>: <value in the metric's unit>}}]
"""


def skeleton(id_: str, *, mqtt: bool) -> str:
    """The text of a new profile file, for Modbus or for MQTT."""
    return _HEAD.format(id=id_) + (_MQTT if mqtt else _MODBUS)
