"""Notifications: changes of alerts told to platforms, groups and people, at least once each.

``targets`` is what ``centre.yaml`` says, ``routes`` decides who hears, ``outbox`` keeps it in the alert's own transaction,
``courier`` brings it. The senders (``webhook``, ``bots``, ``mail``, ``topic_sender``) know what each channel wants.
"""

from ingest.notify.notifications import Notification, NotificationFilter, Notifications, TargetSeen
from ingest.notify.notifier import Notifier
from ingest.notify.outbox import State
from ingest.notify.post import look_up
from ingest.notify.targets import Notify, kind_problems, notify_problems, resolved_problems
from ingest.notify.watch import NotifyWatch

__all__ = [
    "Notification",
    "NotificationFilter",
    "Notifications",
    "Notifier",
    "Notify",
    "NotifyWatch",
    "State",
    "TargetSeen",
    "kind_problems",
    "look_up",
    "notify_problems",
    "resolved_problems",
]
