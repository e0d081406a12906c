"""What there is to tell: a change of an alert or of a work order, or a digest of what was past before it was known.
Pure."""

from ingest.alerts import Alert, Changed
from ingest.cases import Case, Moved
from ingest.notify.digest import KIND, Digest

News = Changed | Moved | Digest


def matter(news: News) -> Alert | Case | Digest:
    """What it is about; a digest is about itself."""
    match news:
        case Changed():
            return news.alert
        case Moved():
            return news.case
        case Digest():
            return news


def name_of(news: News) -> str:
    """The message's name, the same at every try and of no other."""
    return f"{matter(news).id}.{number_of(news)}"


def number_of(news: News) -> int:
    """Which of the changes of what it is about: the greater is the newer."""
    match news:
        case Changed():
            return news.alert.seq
        case Moved():
            return news.case.version
        case Digest():
            return 1


def change_of(news: News) -> str:
    """The word that routes ask for; of a digest they ask nothing."""
    match news:
        case Changed():
            return news.transition
        case Moved():
            return news.change.value
        case Digest():
            return KIND
