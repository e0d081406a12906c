"""``notify`` in centre.yaml: what the guide shows is taken, and everything wrong is said at once, with its place."""

import base64
import re
import textwrap
from pathlib import Path

import pytest

from ingest.notify import Notify, kind_problems, notify_problems, resolved_problems
from tests.notices import notify_of, secret

ROOT = Path(__file__).parents[3]
SECRET = f"whsec_{base64.b64encode(b's' * 32).decode()}\n"
ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=x"


def problems(notify: Notify, folder: Path) -> list[str]:
    found = notify_problems(notify, folder.joinpath, "centre.yaml")
    return [f"{Path(problem.file).name}: {problem.path}: {problem.reason}" for problem in found]


def inside(text: str) -> Notify:
    """What stands under ``notify:``."""
    return notify_of(textwrap.dedent(text.partition("notify:\n")[2]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    secret(tmp_path, "keys/platform-secrets", SECRET)
    for name in ("guards-url", "engineers-url", "desk-url"):
        secret(tmp_path, f"keys/{name}", ROBOT)
    for name in ("guards-secret", "engineers-secret", "platform-password", "mail-password"):
        secret(tmp_path, f"keys/{name}", "secret")
    return tmp_path


def test_what_the_guide_shows_is_taken(folder: Path) -> None:
    guide = re.search(r"```yaml\n(notify:\n.*?)```", (ROOT / "docs/operator.md").read_text(encoding="utf-8"), re.S)
    assert guide is not None
    assert problems(inside(guide[1]), folder) == []


def test_what_the_example_file_shows_is_taken(tmp_path: Path) -> None:
    example = (ROOT / "config/centre.example.yaml").read_text(encoding="utf-8")
    shown = inside("\n".join(line[2:] for line in example[example.index("# notify:") :].splitlines()))
    secret(tmp_path, "platform-secrets", SECRET)
    secret(tmp_path, "guards-url", ROBOT)
    secret(tmp_path, "guards-secret", "s")
    assert problems(shown, tmp_path) == []


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    secret(tmp_path, "short", base64.b64encode(b"s" * 8).decode())
    secret(tmp_path, "metadata", "https://169.254.169.254/latest")
    (tmp_path / "open").write_text(SECRET)
    (tmp_path / "open").chmod(0o644)
    notify = notify_of("""
targets:
  near: {type: webhook, url: "https://127.0.0.1/", secrets_file: short}
  far: {type: webhook, url: "https://example.org/", secrets_file: open}
  group: {type: wecom, url_file: metadata}
  none: {type: dingtalk, url_file: nothing}
  mail: {type: mail, host: mail.example.org, from: "Linli <a@b>", to: [], tls: none, user: a}
  topic: {type: mqtt, broker: {url: "mqtt://example.org"}, topic: "a/#"}
  idle: {type: mail, host: mail.example.org, from: a@example.org, to: [b@example.org]}
  spare: {type: mail, host: mail.example.org, from: a@example.org, to: [b@example.org]}
routes:
  - {to: [near, far, group, none, mail, topic, nobody], regions: ["41120"], hours: {from: "25:00", zone: Mars}}
  - {to: [group], kinds: [duress, door_forced]}
  - {to: []}
  - {to: [idle], grades: [2], changes: [urged]}
  - {to: [idle], about: work_orders, families: [access], changes: [opened, urged]}
on_site: [{network: 10.1.2.3/24, ports: []}]
""")
    assert problems(notify, tmp_path) == [
        "centre.yaml: notify.on_site[0].network: 10.1.2.3/24 has host bits set",
        "centre.yaml: notify.on_site[0].ports: is empty",
        "short: : secret 1 has 8 bytes, not 24 to 64",
        "open: : the webhook's secrets can be read by others (mode 0644)",
        "nothing: : the bot's URL cannot be read: No such file or directory",
        "centre.yaml: notify.targets.mail: 'Linli <a@b>' is not an address of mail",
        "centre.yaml: notify.targets.mail.to: is empty",
        "centre.yaml: notify.targets.mail.tls: clear text to mail.example.org",
        "centre.yaml: notify.targets.mail: user and password_file go together",
        "centre.yaml: notify.targets.topic.broker.url: clear text to example.org",
        "centre.yaml: notify.targets.topic.topic: 'a/#' cannot stand before a topic",
        "centre.yaml: notify.routes[0].to: there is no target 'nobody'",
        "centre.yaml: notify.routes[0].regions: '41120' is not a division code of 2, 4, 6, 9, 12 or 15 digits",
        "centre.yaml: notify.routes[0].hours.from: '25:00' is no time of the day",
        "centre.yaml: notify.routes[0].hours.zone: there is no time zone 'Mars'",
        "centre.yaml: notify.routes[1].kinds: duress never goes to a group (group)",
        "centre.yaml: notify.routes[2].to: is empty",
        "centre.yaml: notify.routes[3].grades: alerts have none",
        "centre.yaml: notify.routes[3].changes: alerts are never 'urged'",
        "centre.yaml: notify.routes[4].families: work_orders have none",
        "centre.yaml: notify.routes[4].changes: work_orders are never 'opened'",
        "centre.yaml: notify.targets.spare: no route leads there",
    ]


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "http://example.org/", "https://example.org:22/", "file:///etc/passwd"])
def test_a_webhook_that_may_never_be_asked_is_refused_and_so_is_a_robot(tmp_path: Path, url: str) -> None:
    secret(tmp_path, "s", SECRET)
    secret(tmp_path, "u", url)
    hook = f"{{type: webhook, url: '{url}', secrets_file: s}}"
    for target, place in ((hook, "url"), ("{type: feishu, url_file: u}", "url_file")):
        (problem,) = problems(notify_of(f"{{targets: {{one: {target}}}, routes: [{{to: [one]}}]}}"), tmp_path)
        assert problem.startswith(f"centre.yaml: notify.targets.one.{place}: ")


def test_kinds_that_no_rule_raises_are_said_with_the_nearest_one() -> None:
    notify = notify_of("{routes: [{to: [a], kinds: [door_forced, dor_forced]}, {to: [a], not_kinds: [x]}]}")
    found = list(kind_problems(notify, ["door_forced", "tamper"], "centre.yaml"))
    assert [(problem.path, problem.reason) for problem in found] == [
        ("notify.routes[0].kinds", "no rule raises 'dor_forced'"),
        ("notify.routes[1].not_kinds", "no rule raises 'x'"),
    ]
    assert found[0].cure == "did you mean 'door_forced'?"


def test_a_name_that_leads_inside_is_said_when_somebody_checks_and_one_that_cannot_be_found_is_not(tmp_path: Path) -> None:
    addresses = {"inside.example.org": ["203.107.32.1", "10.0.0.1"], "outside.example.org": ["203.107.32.1"]}

    def resolve(host: str, port: int) -> list[str]:
        if host not in addresses:
            raise OSError("no such name")
        return addresses[host]

    hooks = [
        f'{name}: {{type: webhook, url: "https://{name}.example.org/", secrets_file: s}}' for name in ("inside", "outside", "x")
    ]
    notify = notify_of(f"targets: {{{', '.join(hooks)}}}")
    (problem,) = resolved_problems(notify, tmp_path.joinpath, "centre.yaml", resolve)
    assert problem.path == "notify.targets.inside"
    assert "10.0.0.1" in problem.reason


def test_authorities_that_are_none_are_said(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("none")
    mail = "{type: mail, host: m.example.org, from: a@example.org, to: [b@example.org], ca_file: none.pem}"
    topic = '{type: mqtt, broker: {url: "mqtts://m.example.org", ca_file: gone.pem}, topic: a}'
    found = problems(notify_of(f"{{targets: {{mail: {mail}, topic: {topic}}}, routes: [{{to: [mail, topic]}}]}}"), tmp_path)
    assert found[0].startswith("centre.yaml: notify.targets.mail.ca_file: cannot be used")
    assert found[1:] == ["gone.pem: : cannot be read: No such file or directory"]
