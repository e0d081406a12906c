"""Faults put to real processes: killed, cut off, filled up, damaged, and judged by what the centre holds afterwards.

``rig`` runs one community, ``devices`` answer its gateway with numbers that occur once, ``oracle`` judges, ``proxy``,
``network`` and ``disk`` do the harm, ``programs`` are Linli with one thing broken on purpose. See README.md.
"""
