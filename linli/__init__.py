"""The command line: one command ``linli``, thin; ``linli up`` wires everything on one machine."""
