"""What there is to tell: a change of an alert, or a reminder of a work order. Pure."""

from ingest.alerts import Alert, Changed
from ingest.cases import Case, Reminder

News = Changed | Reminder


def matter(news: News) -> Alert | Case:
    """What it is about."""
    return news.alert if isinstance(news, Changed) else news.case


def name_of(news: News) -> str:
    """The message's name, the same at every try and of no other."""
    number = news.alert.seq if isinstance(news, Changed) else news.case.version
    return f"{matter(news).id}.{number}"


def change_of(news: News) -> str:
    """The word that routes ask for."""
    return news.transition if isinstance(news, Changed) else news.how.value
