"""The central program: takes what gateways send, keeps it, judges it, and answers people.

``service`` joins the parts. In the order of the flow: ``intake`` decodes and hands each batch to two ``sink`` s (``sequencer``
restores order), one writes to ``store``, one to ``alerts``; ``acknowledger`` tells gateways what both hold; ``api`` answers.
``registry`` knows gateways and devices, ``gateways`` their keys, ``tokens`` who may ask.
"""
