"""Worlds to develop against: Modbus and MQTT devices with a seed, a story and a virtual clock, and the truth of what they said.

A world compresses its own time only (``speed``); gateways and the centre run on the wall clock.
"""

from simulators.play import run
from simulators.truth import Truth
from simulators.world import Stage, TcpBus, World, load_stage

__all__ = ["Stage", "TcpBus", "Truth", "World", "load_stage", "run"]
