import re
from datetime import date
from pathlib import Path

import pytest

from lkhub.health.native import judge_native, load_roots

TODAY = date(2026, 11, 21)
LEAF = "00" * 32
OTHER = "11" * 32

USERTRUST = "CN=USERTrust RSA Certification Authority,O=The USERTRUST Network,L=Jersey City,ST=New Jersey,C=US"
GTS = "CN=GTS Root R4,O=Google Trust Services LLC,C=US"
GODADDY = r"CN=Go Daddy Root Certificate Authority - G2,O=GoDaddy.com\, Inc.,L=Scottsdale,ST=Arizona,C=US"
GLOBALSIGN_R3 = "CN=GlobalSign,O=GlobalSign,OU=GlobalSign Root CA - R3"
ISRG = "CN=ISRG Root X1,O=Internet Security Research Group,C=US"


def test_list_is_whole() -> None:
    roots = load_roots()
    assert len(roots) == 21
    assert all(len(bytes.fromhex(root.fingerprint)) == 32 for root in roots)
    assert len({root.subject for root in roots}) == 21
    assert not any("ISRG" in root.subject or "Internet Security" in root.subject for root in roots)
    assert {root.name for root in roots} >= {"GTS Root R1", "USERTrust ECC Certification Authority"}


def test_probe_judges_by_the_same_roots() -> None:
    """The engine's probe has a list of its own: one binary, no file beside it."""
    engine = Path(__file__).parents[2] / "engine"
    texts = [path.read_text() for kind in ("*.go", "*.pem") for path in engine.rglob(kind)]
    lists = [set(re.findall(r"\b[0-9a-f]{64}\b", text)) for text in texts if load_roots()[0].fingerprint in text]
    assert lists
    assert all(found == {root.fingerprint for root in load_roots()} for found in lists)


@pytest.mark.parametrize(
    "chain",
    [
        [(LEAF, "CN=ZeroSSL RSA"), (OTHER, USERTRUST)],
        # Google sends its root too, signed by one that native clients do not have.
        [(LEAF, "CN=WE1"), (OTHER, GTS), (OTHER, "CN=GlobalSign Root CA,OU=Root CA,O=GlobalSign nv-sa,C=BE")],
        [(LEAF, "CN=x"), (OTHER, GODADDY)],
        # The root itself is in the chain, as another name for it would be.
        [(LEAF, "CN=x"), ("e793c9b02fd8aa13e21c31228accb08119643b749c898964b1746d46c3d4cbd2", "CN=x")],
    ],
    ids=["issuer", "cross-signed", "comma in a name", "root sent"],
)
def test_chain_that_leads_to_one_of_the_roots_is_accepted(chain: list[tuple[str, str]]) -> None:
    verdict = judge_native(chain, TODAY)
    assert verdict.accepted
    assert verdict.detail.startswith("native clients know ")


@pytest.mark.parametrize(
    ("chain", "issuer"),
    [
        ([(LEAF, "CN=R13,O=Let's Encrypt,C=US"), (OTHER, ISRG)], ISRG),
        ([(LEAF, "CN=R13,O=Let's Encrypt,C=US")], "CN=R13,O=Let's Encrypt,C=US"),
        ([(LEAF, "CN=my-hub - ECC Intermediate"), (OTHER, "CN=lkhub my-hub 2026-11-21")], "CN=lkhub my-hub 2026-11-21"),
        ([(LEAF, "CN=GTS Root R4")], "CN=GTS Root R4"),
        ([], "nobody"),
    ],
)
def test_chain_that_leads_elsewhere_is_refused(chain: list[tuple[str, str]], issuer: str) -> None:
    verdict = judge_native(chain, TODAY)
    assert not verdict.accepted
    assert verdict.detail == f"the chain ends with {issuer}, which is not among the 21 roots of native clients"


def test_root_that_has_ended_is_none() -> None:
    chain = [(LEAF, GLOBALSIGN_R3)]
    assert judge_native(chain, date(2029, 3, 18)).accepted
    late = judge_native(chain, date(2029, 3, 19))
    assert not late.accepted
    assert late.detail == "GlobalSign in native clients ended on 2029-03-18"
