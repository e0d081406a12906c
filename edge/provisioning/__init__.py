"""The installers' verbs: make a gateway, scan a bus, probe, add and remove a device.

Each verb is a function over a ``Site``, which is the running agent or, when none runs, the gateway's folder alone.
``reach.carry_out`` finds out which; ``verbs`` lists what can be asked and what comes back.
"""
