import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.issuer import DIRECTORIES, Known, parse_issuer
from lkhub.spec.types import (
    AskStun,
    PortRange,
    parse_addresses,
    parse_domain,
    parse_email,
    parse_file_path,
    parse_host_port,
    parse_network,
    parse_networks,
    parse_port,
    parse_port_or_off,
    parse_port_range,
    parse_stun,
)

PORTS = st.integers(1, 65535)
RANGES = st.tuples(PORTS, PORTS).map(lambda ends: PortRange(min(ends), max(ends)))


@given(RANGES)
def test_range_is_read_as_it_is_printed(ports: PortRange) -> None:
    assert parse_port_range(str(ports)) == ports


@given(RANGES, st.integers(0, 3), st.integers(0, 3))
def test_range_may_have_spaces_around_its_dash(ports: PortRange, before: int, after: int) -> None:
    assert parse_port_range(f" {ports.start}{' ' * before}-{' ' * after}{ports.end} ") == ports


@given(RANGES, RANGES)
def test_ranges_overlap_where_they_share_a_port(one: PortRange, other: PortRange) -> None:
    shared = max(one.start, other.start) <= min(one.end, other.end)
    assert one.overlaps(other) is other.overlaps(one) is shared


@given(RANGES, st.integers(-5, 70000))
def test_range_contains_its_ends_and_what_is_between(ports: PortRange, port: int) -> None:
    assert ports.start in ports
    assert ports.end in ports
    assert (port in ports) is (ports.start <= port <= ports.end)
    assert ports.__contains__(str(port)) is False


@given(PORTS)
def test_port_is_a_number_or_its_digits(port: int) -> None:
    assert parse_port(port) == parse_port(str(port)) == parse_port_or_off(port) == port
    assert parse_port_range(port) == PortRange(port, port)


@given(st.one_of(st.integers(max_value=0), st.integers(min_value=65536)))
def test_number_beyond_the_ports_is_refused_with_the_limits(number: int) -> None:
    for parse in (parse_port, parse_port_or_off, parse_port_range):
        with pytest.raises(ValueError, match="is not a port") as refused:
            parse(number)
        assert "1 to 65535" in str(refused.value)


JUNK = st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.binary(), st.lists(st.integers()), st.dates())


PARSERS: tuple[Callable[[Any], object], ...] = (
    *(parse_port, parse_port_or_off, parse_port_range, parse_addresses, parse_host_port, parse_stun),
    *(parse_domain, parse_email, parse_file_path, parse_network, parse_networks, parse_issuer),
)


def refuse(parse: Callable[[Any], object], value: Any) -> str:
    """What `parse` says against the value; "" where it takes it."""
    try:
        parse(value)
    except ValueError as error:
        return str(error)
    return ""


@given(JUNK)
def test_anything_else_is_refused_in_few_words(value: Any) -> None:
    for parse in PARSERS:
        told = refuse(parse, value)
        assert len(told) < 250
        assert told.isprintable()


def test_very_large_number_is_refused_like_any_other() -> None:
    with pytest.raises(ValueError, match="not a port") as refused:
        parse_port(16**5000)
    assert "set_int_max_str_digits" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.0, "1.0 is not a port number"),
        (0.0, "0.0 is not a port number"),
        (True, "true is not a port number"),
        (False, "false is not a port number"),
        (None, "nothing is not a port number"),
        ([7882], "a list is not a port number"),
        ({"port": 1}, "a mapping is not a port number"),
        ("", " is not a port number"),
        ("x" * 100, "x" * 57 + "… is not a port number"),
    ],
    ids=str,
)
def test_fault_shows_the_value_as_it_was_written(value: Any, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_port(value)
    assert str(refused.value) == said


def test_reversed_range_is_shown_the_right_way_round() -> None:
    with pytest.raises(ValueError, match="write 50000-60000"):
        parse_port_range("60000-50000")


def test_off_is_a_word_for_some_ports_alone() -> None:
    assert parse_port_or_off("off") == "off"
    for value in (False, "no", "Off", None):
        with pytest.raises(ValueError, match="write a port, or off"):
            parse_port_or_off(value)
    with pytest.raises(ValueError, match="off is not a port"):
        parse_port("off")


def test_addresses_are_auto_one_or_several() -> None:
    v4, v6 = ip_address("192.168.1.5"), ip_address("fd00::5")
    assert parse_addresses("auto") == "auto"
    assert parse_addresses("192.168.1.5") == (v4,)
    assert parse_addresses(["192.168.1.5", "fd00::5"]) == (v4, v6)
    assert parse_addresses(["192.168.1.5", "10.0.0.9"]) == (v4, ip_address("10.0.0.9"))
    assert parse_addresses((v6,)) == (v6,)


@pytest.mark.parametrize("server", ["stun.example.com:3478", "192.0.2.1:1", "[2001:db8::1]:65535"])
def test_address_may_be_what_a_stun_server_says(server: str) -> None:
    asked = parse_addresses({"stun": server})
    assert asked == AskStun(server)
    assert isinstance(asked, AskStun), "a tuple of one address is something else"
    assert parse_addresses(asked) is asked


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"stun": "stun.example.com"}, "stun.example.com is not host:port"),
        ({"stun": "stun.example.com:0"}, "0 is not a port"),
        ({"stun": None}, "nothing is not host:port"),
        ({"stun": ["a:1"]}, "a list is not host:port"),
        ({"stun": "a:1", "turn": "b:2"}, "write auto, an IP address, or {stun: host:port}"),
        ({"stnu": "a:1"}, "write auto, an IP address, or {stun: host:port}"),
        ({}, "write auto, an IP address, or {stun: host:port}"),
        ([{"stun": "a:1"}], "a mapping is not an IP address"),
    ],
    ids=str,
)
def test_wrong_stun_server_says_the_form(value: Any, said: str) -> None:
    assert said in refuse(parse_addresses, value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "the list is empty"),
        (["192.168.1.5", "192.168.1.5"], "an address stands there twice"),
        (["::1", "0:0::1"], "an address stands there twice"),
        (["x", "x", "y"], "^x is not an IP address; write [^;]*; y is not an IP address; write [^;]*$"),
        (["a", "b", "c", "d"], "; …$"),
        ("0.0.0.0", "not an address that a client can send to"),
        ("::", "not an address that a client can send to"),
        ("224.0.0.1", "not an address that a client can send to"),
        ("192.168.1.5/24", "is not an IP address"),
        ("localhost", "is not an IP address"),
        (3232235781, "3232235781 is not an IP address"),
        (1, "^1 is not an IP address"),
        (True, "true is not an IP address"),
        (["auto"], "auto is not an IP address"),
        ([["192.168.1.5"]], "a list is not an IP address"),
    ],
    ids=str,
)
def test_wrong_address_says_what_is_wrong(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_addresses(value)


def test_host_port_keeps_what_was_written() -> None:
    for text in ("stun.example.com:3478", "192.0.2.1:1", "[2001:db8::1]:65535"):
        assert parse_host_port(text) == text


@pytest.mark.parametrize(
    "value", ["stun.example.com", "stun.example.com:0", "stun:stun.example.com:3478", "2001:db8::1:3478", "a b:1", 3478]
)
def test_wrong_host_port_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        parse_host_port(value)


def test_stun_is_own_or_a_list_that_names_somebody() -> None:
    assert parse_stun("own") == "own"
    assert parse_stun(["a:1", "b:2"]) == ("a:1", "b:2")
    wrong: tuple[Any, ...] = ([], None, "stun.example.com:3478", {})
    for value in wrong:
        with pytest.raises(ValueError, match="write own, or a list"):
            parse_stun(value)


LABELS = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\Z")
TOP_LABELS = st.from_regex(r"\A[a-z]([a-z0-9-]{0,20}[a-z0-9])?\Z")
DOMAINS = st.tuples(st.lists(LABELS, min_size=1, max_size=4), TOP_LABELS).map(
    lambda parts: ".".join([*parts[0], parts[1]])
)


@given(DOMAINS, st.booleans())
def test_domain_is_a_name_in_lower_case(name: str, rooted: bool) -> None:
    assert parse_domain(name) == name
    assert parse_domain(name.upper() + "." * rooted) == name


@given(st.text(st.characters(max_codepoint=0x3000), max_size=40))
def test_whatever_is_taken_for_a_domain_can_stand_in_a_url_and_a_certificate(text: str) -> None:
    if not refuse(parse_domain, text):
        name = parse_domain(text)
        assert re.fullmatch(r"[a-z0-9.-]+", name)
        assert not re.search(r"(^|\.)-|-(\.|$)|\.\.", name)
        assert urlsplit(f"https://{name}:443/").hostname == name
        assert parse_domain(name) == name


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("https://rtc.example.com", "is a URL; write the name alone"),
        ("wss://rtc.example.com/", "is a URL; write the name alone"),
        ("192.168.1.5", "is an IP address; write a DNS name"),
        ("[fd00::5]", "is an IP address; write a DNS name"),
        ("fd00::5", "is an IP address; write a DNS name"),
        ("localhost", "is not a DNS name such as rtc.example.com"),
        ("rtc.example.com:443", "is not a DNS name"),
        ("rtc.example.com/x", "is not a DNS name"),
        ("*.example.com", "is not a DNS name"),
        ("a_b.example.com", "is not a DNS name"),
        ("-a.example.com", "is not a DNS name"),
        ("a..example.com", "is not a DNS name"),
        ("a.example.com..", "is not a DNS name"),
        # Browsers take these for IPv4 addresses.
        ("1.2.3", "is not a DNS name"),
        ("0x7f.1", "is not a DNS name"),
        (f"{'a' * 64}.example.com", "is not a DNS name"),
        (".".join(["a" * 60] * 5), "is not a DNS name"),
        ("", " is not a DNS name"),
        ("münchen.example", "write its ASCII form, xn--mnchen-3ya.example"),
        (None, "nothing is not a DNS name"),
        (5, "5 is not a DNS name"),
        (["a.b"], "a list is not a DNS name"),
    ],
    ids=str,
)
def test_wrong_domain_says_what_is_wrong(value: Any, said: str) -> None:
    assert said in refuse(parse_domain, value)


V4_NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda n: IPv4Network(n, strict=False))
V6_NETWORKS = (
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128))
    .map(lambda n: IPv6Network(n, strict=False))
    .filter(lambda network: not network.network_address.ipv4_mapped)
)


@given(st.lists(V4_NETWORKS | V6_NETWORKS, max_size=4))
def test_networks_are_read_as_they_are_printed(networks: list[IPv4Network | IPv6Network]) -> None:
    assert parse_networks([str(network) for network in networks]) == parse_networks(networks) == tuple(networks)


def test_network_may_be_an_address_or_have_bits_too_many() -> None:
    assert parse_network("10.0.0.1") == IPv4Network("10.0.0.1/32")
    assert parse_network("10.1.2.3/8") == IPv4Network("10.0.0.0/8")
    assert parse_network("fd00::5/64") == IPv6Network("fd00::/64")
    assert parse_networks([]) == ()


@given(V4_NETWORKS)
def test_network_of_ipv4_written_within_ipv6_is_that_of_ipv4(network: IPv4Network) -> None:
    within = f"::ffff:{network.network_address}/{96 + network.prefixlen}"
    assert parse_network(within) == parse_network(IPv6Network(within)) == network


def test_network_that_holds_more_than_ipv4_stays() -> None:
    assert parse_network("::ffff:0:0/95") == IPv6Network("::fffe:0:0/95")
    assert parse_network("::ffff:10.0.0.1") == IPv4Network("10.0.0.1/32")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("10.0.0.0/8", "is not a list; write \\[10.0.0.0/8\\]"),
        (None, "nothing is not a list"),
        ({"a": 1}, "a mapping is not a list"),
        (["10.0.0.0/33"], "10.0.0.0/33 is not a network such as 10.0.0.0/8, nor an address"),
        (["proxy.example.com"], "is not a network"),
        ([10], "10 is not a network"),
        (["a", "b", "c"], "; …$"),
    ],
    ids=str,
)
def test_wrong_networks_say_what_is_wrong(value: Any, said: str) -> None:
    assert re.search(said, refuse(parse_networks, value))


@pytest.mark.parametrize("value", ["ops@example.com", "a+b@c", "ü@example.com"])
def test_email_is_taken_as_it_is(value: str) -> None:
    assert parse_email(value) == value


@pytest.mark.parametrize("value", ["", "ops", "@example.com", "ops@", "a b@c", "a@b@c", "a@b\n", 5, None])
def test_what_is_no_email_is_refused(value: Any) -> None:
    assert "is not an e-mail address" in refuse(parse_email, value)


@pytest.mark.parametrize("value", ["", " ", "a\0b", "a\nb", 5, None, ["a"], True])
def test_what_is_no_path_is_refused(value: Any) -> None:
    assert "is not the path of a file" in refuse(parse_file_path, value)
    assert parse_file_path("./a b/ü.pem") == "./a b/ü.pem"


@pytest.mark.parametrize(
    "value",
    [
        *("auto", "letsencrypt", "zerossl", "google"),
        *("https://acme.example.com/directory", "https://127.0.0.1:14000/dir", "https://[::1]:14000/dir"),
    ],
)
def test_issuer_is_a_name_or_a_directory(value: str) -> None:
    assert parse_issuer(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *("", "LetsEncrypt", "lets-encrypt", "http://acme.example.com", "https://", "https:///dir", "https://["),
        *(
            "https://a:0",
            "https://a:x",
            "https://a:70000",
            "https://a b",
            "https://a\n",
            5,
            None,
            ["auto"],
            {"a": 1},
            True,
        ),
    ],
    ids=repr,
)
def test_what_is_no_issuer_is_refused_with_what_is(value: Any) -> None:
    told = refuse(parse_issuer, value)
    assert told.isprintable()
    assert "write auto, letsencrypt, zerossl, google, or the https:// URL of an ACME directory" in told


def test_every_named_issuer_has_a_directory() -> None:
    assert set(DIRECTORIES) == set(get_args(Known))
    for url in DIRECTORIES.values():
        assert parse_issuer(url) == url
