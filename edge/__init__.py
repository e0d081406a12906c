"""The gateway program: reads devices, keeps what they say until the centre has it, carries it there.

``agent`` joins the parts. In the order of the flow: ``drivers`` and ``poller`` read (``schedule`` says when, ``liveness`` whom),
``logbook`` makes readings (``sampling``, ``stamps``), ``accept`` and ``outbox`` make them durable, ``uplink`` carries them.
``provisioning`` holds the installers' verbs, ``control`` the socket they ask a running agent through.
"""
