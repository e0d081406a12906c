"""Real products that speak MQTT, as payloads and habits; each module is one maker's thing, without any connection."""

from simulators.products.esp_rfid import EspRfid
from simulators.products.frigate import Frigate
from simulators.products.post import Moment, Post, Product, Said
from simulators.products.speaker import Speaker
from simulators.products.vzenith import Vzenith
from simulators.products.zigbee2mqtt import Sensor, Zigbee2Mqtt

__all__ = ["EspRfid", "Frigate", "Moment", "Post", "Product", "Said", "Sensor", "Speaker", "Vzenith", "Zigbee2Mqtt"]
