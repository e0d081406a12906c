"""The guard of webhooks: every way of writing an address that must not be reached is refused, before it is asked."""

import pytest

from ingest.address import OnSite, Refused, checked, parse, static_reason

SITE = (OnSite("10.1.2.0/24", (8080, 443)), OnSite("fd00::/8", (443,)))
PUBLIC = "203.107.32.1"


def refused_at_creation(url: str, on_site: tuple[OnSite, ...] = ()) -> str:
    try:
        return static_reason(parse(url), on_site)
    except Refused as error:
        return str(error)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd12:3456::1]",
        "[ff02::1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:7f00:1]",
        "[::10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::1]",
        "[2002:0a00:0001::1]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "printer.local",
        "metadata.google.internal",
    ],
)
def test_an_address_that_is_not_public_is_refused_when_it_is_configured(host: str) -> None:
    assert refused_at_creation(f"https://{host}/hook")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.org/",
        "ftp://example.org/",
        "http://example.org/",
        "//example.org/",
        "example.org",
        "",
        "https://",
        "https:///hook",
        "https://user@example.org/",
        "https://user:password@example.org/",
        "https://example.org@127.0.0.1/",
        "https://example.org:22/",
        "https://example.org:0/",
        "https://example.org:80/",
        "https://example.org:99999/",
        "https://example.org:x/",
        "https://example.org/#fragment",
        "https://example.org\\@127.0.0.1/",
        "https://example.org/a b",
        "https://example.org/\r\nX-Injected: 1",
        "https://example.org/\x00",
        "https://exa\tmple.org/",
        "https://例子.org/",
        "https://[::1/",
        "https://[example]/",
        "https://-example.org/",
        "https://exam_ple.org/",
        "https://example.org/" + "a" * 1_000_000,
    ],
)
def test_a_url_that_two_readers_could_read_differently_or_that_leads_elsewhere_is_refused(url: str) -> None:
    assert refused_at_creation(url)


def test_a_refusal_repeats_no_secret_of_the_url() -> None:
    assert "hunter2" not in refused_at_creation("https://user:hunter2@example.org/hunter2")
    assert "hunter2" not in refused_at_creation("https://10.0.0.1/hunter2?token=hunter2")


@pytest.mark.parametrize("url", ["https://example.org/hook?a=1&b=2", "https://example.org:8443", f"https://{PUBLIC}/x"])
def test_a_public_receiver_is_taken(url: str) -> None:
    assert refused_at_creation(url) == ""


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "::ffff:10.0.0.1", "fe80::1%eth0", "224.0.0.1"]
)
def test_a_name_that_leads_to_a_private_address_is_refused_even_among_public_ones(address: str) -> None:
    url = parse("https://example.org/")
    with pytest.raises(Refused):
        checked(url, [address], ())
    with pytest.raises(Refused):
        checked(url, [PUBLIC, address], ())


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(Refused):
        checked(parse("https://example.org/"), [], ())


def test_public_addresses_of_a_name_are_all_used_each_once() -> None:
    assert checked(parse("https://example.org/"), [PUBLIC, "2400:3200::1", PUBLIC], ()) == [PUBLIC, "2400:3200::1"]


@pytest.mark.parametrize("url", ["https://example.org:22/", "http://example.org/"])
def test_ports_and_schemes_are_looked_at_again_when_it_is_sent(url: str) -> None:
    with pytest.raises(Refused):
        checked(parse(url), [PUBLIC], ())


def test_what_stands_on_site_is_reached_by_network_and_port_and_may_be_in_the_clear() -> None:
    assert refused_at_creation("http://10.1.2.3:8080/hook", SITE) == ""
    assert refused_at_creation("https://[fd12::1]/hook", SITE) == ""
    assert checked(parse("http://platform.example.org:8080/"), ["10.1.2.3"], SITE) == ["10.1.2.3"]


@pytest.mark.parametrize(
    "url", ["http://10.1.2.3:8081/", "http://10.1.3.3:8080/", "http://127.0.0.1:8080/", "http://[fd12::1]:8080/"]
)
def test_nothing_beside_what_stands_on_site_is_opened_by_it(url: str) -> None:
    assert refused_at_creation(url, SITE)


def test_a_name_at_a_port_of_the_site_must_lead_to_the_site() -> None:
    url = parse("http://platform.example.org:8080/")
    assert static_reason(url, SITE) == ""
    for elsewhere in (PUBLIC, "10.9.9.9", "127.0.0.1"):
        with pytest.raises(Refused):
            checked(url, [elsewhere], SITE)
