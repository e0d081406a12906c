"""Who is told: ``notify`` in ``centre.yaml``, a frozen value, everything wrong with it said at once.

What is secret (a bot's URL, a signing secret, a password) stands in files of mode 0600.
"""

import re
import ssl
from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from device_profiles import read_text
from ingest import address
from ingest.address import OnSite
from ingest.alerts import Colour, Family
from ingest.alerts.persons import is_personal
from ingest.cases import Court
from ingest.notify import long_tail, signature
from ingest.notify.hours import Hours, hours_problems
from ingest.secret_file import read_secret
from telemetry.broker import Broker, broker_problems, is_loopback, public_files, secret_files
from telemetry.document import nearest
from telemetry.errors import ConfigInvalid, Problem
from telemetry.identity import PREFIX_LENGTHS
from telemetry.topic import is_root

Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")]


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="webhook", tag_field="type"):
    """CloudEvents over HTTPS with Standard Webhooks signatures. ``thin`` says which alert changed, ``full`` the alert."""

    url: str
    secrets_file: str
    payload: Literal["thin", "full"] = "thin"


class DingTalk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="dingtalk", tag_field="type"):
    """钉钉 group robot. ``url_file`` holds its whole URL, ``secret_file`` the 加签 secret."""

    url_file: str
    secret_file: str = ""


class Feishu(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="feishu", tag_field="type"):
    """飞书 custom bot. ``url_file`` holds its whole URL, ``secret_file`` the 签名校验 secret."""

    url_file: str
    secret_file: str = ""


class WeCom(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="wecom", tag_field="type"):
    """企业微信 group robot. ``url_file`` holds its whole URL."""

    url_file: str


class Apprise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="apprise", tag_field="type"):
    """Whatever apprise reaches (``linli[apprise]``). ``url_file`` holds its URL."""

    url_file: str
    most_a_minute: Count = 10


class Mail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mail", tag_field="type", rename={"sender": "from"}):
    """Mail over SMTP: ``tls`` from the first byte, ``starttls``, or ``none`` on this machine alone."""

    host: str
    sender: str
    to: tuple[str, ...]
    tls: Literal["tls", "starttls", "none"] = "tls"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    most_a_minute: Count = 30


class Mqtt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mqtt", tag_field="type"):
    """CloudEvents published at QoS 1 to ``topic/COMMUNITY/KIND`` of a broker."""

    broker: Broker
    topic: str
    payload: Literal["thin", "full"] = "full"


Target = Webhook | DingTalk | Feishu | WeCom | Apprise | Mail | Mqtt
Bot = DingTalk | Feishu | WeCom
Group = DingTalk | Feishu | WeCom | Apprise
"""What may speak to a group, which personal data never reach."""

Change = Literal[
    "opened",
    "raised again",
    "graded",
    "cleared",
    "acknowledged",
    "assigned",
    "commented",
    "flapping",
    "steady",
    "unsuppressed",
    "unshelved",
    "unfolded",
    "drill over",
    "amended",
    "withdrawn",
]
"""``graded``: the colour rose or fell. ``unsuppressed``, ``unshelved``, ``unfolded``, ``drill over``: what held it back, or
made it a drill, is over; ``steady`` says so of ``flapping``."""

CaseWord = Literal["dispatched", "recalled", "returned", "handed_in", "rework", "reopened", "reminded", "urged", "supervised"]
"""Of a work order: 派单, 收回, 退回, 反馈, 返工, 重开, 提醒, 催办, 督办."""


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """News that goes to ``to``, of alerts or of work orders: what satisfies every condition given. An empty one is no condition.

    Of work orders alone: ``units`` whom it concerns, ``courts`` whose move it is, ``grades`` of supervision that it is under now.
    """

    to: tuple[str, ...]
    about: Literal["alerts", "work_orders"] = "alerts"
    colours: tuple[Colour, ...] = ()
    families: tuple[Family, ...] = ()
    kinds: tuple[str, ...] = ()
    not_kinds: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    changes: tuple[Change | CaseWord, ...] = ()
    units: tuple[str, ...] = ()
    courts: tuple[Court, ...] = ()
    grades: tuple[Annotated[int, msgspec.Meta(ge=0, le=3)], ...] = ()
    hours: Hours | None = None


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``source`` is how CloudEvents name this centre."""

    targets: dict[Name, Target] = {}
    routes: tuple[Route, ...] = ()
    on_site: tuple[OnSite, ...] = ()
    source: Annotated[str, msgspec.Meta(pattern="^[!-~]{1,200}$")] = "/linli"


def notify_problems(notify: Notify, path: Callable[[str], Path], file: str) -> Iterator[Problem]:
    """``path`` makes a file of a name in the configuration."""
    for number, site in enumerate(notify.on_site):
        yield from _site_problems(site, file, f"notify.on_site[{number}]")
    for name, target in notify.targets.items():
        yield from _target_problems(target, notify, path, file, f"notify.targets.{name}")
    for number, route in enumerate(notify.routes):
        yield from _route_problems(route, notify, file, f"notify.routes[{number}]")
    routed = {name for route in notify.routes for name in route.to}
    for name in sorted(set(notify.targets) - routed):
        yield Problem(file, f"notify.targets.{name}", "no route leads there", "name it in the `to` of a route, or remove it")


def kind_problems(notify: Notify, kinds: Collection[str], file: str) -> Iterator[Problem]:
    """Kinds in routes that no rule raises."""
    for number, route in enumerate(notify.routes):
        for key, named in (("kinds", route.kinds), ("not_kinds", route.not_kinds)):
            for kind in sorted(set(named) - set(kinds)):
                yield Problem(file, f"notify.routes[{number}].{key}", f"no rule raises {kind!r}", nearest(kind, kinds))


def resolved_problems(
    notify: Notify, path: Callable[[str], Path], file: str, resolve: Callable[[str, int], Sequence[str]]
) -> Iterator[Problem]:
    """Names that lead where nothing may be sent, of a configuration without other problems.

    Those that cannot be found pass: every message looks again.
    """
    for name, target in notify.targets.items():
        if isinstance(target, Apprise | Mail | Mqtt):
            continue
        url = url_of(target, path)
        try:
            address.checked(url, resolve(url.host, url.port), notify.on_site)
        except address.Refused as error:
            yield Problem(file, f"notify.targets.{name}", str(error))
        except OSError:
            continue


def url_of(target: Webhook | Bot, path: Callable[[str], Path]) -> address.Url:
    """Raises ``ConfigInvalid`` when its file cannot be read and ``address.Refused`` when it is no URL to send to."""
    written = target.url if isinstance(target, Webhook) else read_secret(path(target.url_file), "the bot's URL").strip()
    return address.parse(written)


def _site_problems(site: OnSite, file: str, path: str) -> Iterator[Problem]:
    try:
        ip_network(site.network)
    except ValueError as error:
        yield Problem(file, f"{path}.network", str(error), "write 10.1.2.0/24 or 10.1.2.3/32")
    if not site.ports:
        yield Problem(file, f"{path}.ports", "is empty", "name the ports that may be asked there")


def _target_problems(target: Target, notify: Notify, path: Callable[[str], Path], file: str, where: str) -> Iterator[Problem]:
    match target:
        case Webhook():
            yield from _url_problems(target, notify, path, file, f"{where}.url")
            yield from _webhook_secret_problems(path(target.secrets_file))
        case DingTalk() | Feishu() | WeCom():
            yield from _url_problems(target, notify, path, file, f"{where}.url_file")
            if not isinstance(target, WeCom) and target.secret_file:
                yield from _secret_problems(path(target.secret_file), "the bot's secret")
        case Apprise():
            yield from _apprise_problems(path(target.url_file), file, where)
        case Mail():
            yield from _mail_problems(target, path, file, where)
        case Mqtt():
            yield from broker_problems(target.broker, file, f"{where}.broker")
            for name in secret_files(target.broker):
                yield from _secret_problems(path(name), "the broker's secret")
            for name in public_files(target.broker):
                yield from _text_problems(path(name))
            if not is_root(target.topic):
                yield Problem(file, f"{where}.topic", f"{target.topic!r} cannot stand before a topic", "for example linli/alerts")


def _url_problems(target: Webhook | Bot, notify: Notify, path: Callable[[str], Path], file: str, where: str) -> Iterator[Problem]:
    try:
        reason = address.static_reason(url_of(target, path), notify.on_site)
    except address.Refused as error:
        reason = str(error)
    except ConfigInvalid as error:
        yield from error.problems
        return
    except ValueError:  # a network of on_site that is none, which is said there
        return
    if reason:
        yield Problem(file, where, reason)


def _secret_problems(path: Path, what: str) -> Iterator[Problem]:
    try:
        if not read_secret(path, what).strip():
            yield Problem(str(path), "", f"{what} is empty")
    except ConfigInvalid as error:
        yield from error.problems


def _apprise_problems(path: Path, file: str, where: str) -> Iterator[Problem]:
    if not long_tail.is_installed():
        yield Problem(file, f"{where}.type", "apprise is not installed", "pip install 'linli[apprise]'")
        return
    try:
        url = read_secret(path, "the channel's URL").strip()
    except ConfigInvalid as error:
        yield from error.problems
        return
    if not long_tail.is_channel(url):
        yield Problem(str(path), "", "apprise knows no way to what it says", "see github.com/caronc/apprise/wiki")


def _webhook_secret_problems(path: Path) -> Iterator[Problem]:
    try:
        signature.webhook_secrets(read_secret(path, "the webhook's secrets"))
    except ConfigInvalid as error:
        yield from error.problems
    except ValueError as error:
        yield Problem(str(path), "", str(error), "write one a line: whsec_ and 24 to 64 bytes in base64")


def _text_problems(path: Path) -> Iterator[Problem]:
    try:
        read_text(path)
    except ConfigInvalid as error:
        yield from error.problems


_MAILBOX = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")


def _mail_problems(target: Mail, path: Callable[[str], Path], file: str, where: str) -> Iterator[Problem]:
    for name in (target.sender, *target.to):
        if not _MAILBOX.fullmatch(name) or not name.isascii():
            yield Problem(file, where, f"{name[:60]!r} is not an address of mail", "write wuye@example.org")
    if not target.to:
        yield Problem(file, f"{where}.to", "is empty")
    if target.tls == "none" and not is_loopback(target.host):
        yield Problem(file, f"{where}.tls", f"clear text to {target.host}", "write tls or starttls")
    if bool(target.user) != bool(target.password_file):
        yield Problem(file, where, "user and password_file go together", "give both or neither")
    elif target.password_file:
        yield from _secret_problems(path(target.password_file), "the password for mail")
    try:
        ssl.create_default_context(cafile=str(path(target.ca_file)) if target.ca_file else None)
    except OSError as error:
        yield Problem(file, f"{where}.ca_file", f"cannot be used: {error.strerror or error}", "name a PEM file of authorities")


def _route_problems(route: Route, notify: Notify, file: str, where: str) -> Iterator[Problem]:
    if not route.to:
        yield Problem(file, f"{where}.to", "is empty", nearest("", notify.targets))
    for name in route.to:
        if name not in notify.targets:
            yield Problem(file, f"{where}.to", f"there is no target {name!r}", nearest(name, notify.targets))
    for region in route.regions:
        if not (region.isascii() and region.isdigit() and len(region) in PREFIX_LENGTHS):
            yield Problem(file, f"{where}.regions", f"{region!r} is not a division code of 2, 4, 6, 9, 12 or 15 digits")
    yield from _misplaced(route, file, where)
    groups = [name for name in route.to if isinstance(notify.targets.get(name), Group)]
    for kind in filter(is_personal, route.kinds):
        if groups:
            reason = f"{kind} never goes to a group ({', '.join(groups)})"
            yield Problem(file, f"{where}.kinds", reason, "send it to a webhook, a topic or by mail")
    if route.hours is not None:
        yield from hours_problems(route.hours, file, f"{where}.hours")


def _misplaced(route: Route, file: str, where: str) -> Iterator[Problem]:
    """Conditions that what the route is about never satisfies."""
    of_alerts = route.about == "alerts"
    for key in ("units", "courts", "grades") if of_alerts else ("families",):
        if getattr(route, key):
            cure = "write about: work_orders" if of_alerts else "name kinds"
            yield Problem(file, f"{where}.{key}", f"{route.about} have none", cure)
    known = get_args(Change if of_alerts else CaseWord)
    for change in route.changes:
        if change not in known:
            yield Problem(file, f"{where}.changes", f"{route.about} are never {change!r}", nearest(change, known))
