"""How devices are reached: ``modbus``, one master a bus, and ``mqtt``, one connection a broker."""
