"""Signatures, by the vectors of those who check them."""

import base64

import pytest

from ingest.notify import signature


def test_a_webhook_is_signed_as_the_library_of_standard_webhooks_does() -> None:
    (secret,) = signature.webhook_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature.webhook([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_exchanged_both_sign() -> None:
    old, new = b"o" * 24, b"n" * 32
    both = signature.webhook([new, old], "id", 1, b"body").split(" ")
    assert both == [signature.webhook([new], "id", 1, b"body"), signature.webhook([old], "id", 1, b"body")]


def test_every_part_of_a_webhook_is_signed() -> None:
    one = signature.webhook([b"s" * 24], "id", 1, b"body")
    others = [signature.webhook([b"s" * 24], *parts) for parts in (("ie", 1, b"body"), ("id", 2, b"body"), ("id", 1, b"bodz"))]
    assert one not in others


def test_secrets_stand_one_a_line_with_or_without_their_prefix() -> None:
    first, second = base64.b64encode(b"a" * 24).decode(), base64.b64encode(b"b" * 64).decode()
    assert signature.webhook_secrets(f"whsec_{first}\n{second}\n") == (b"a" * 24, b"b" * 64)


@pytest.mark.parametrize(
    "text", ["", "\n", "whsec_", "whsec_###", base64.b64encode(b"a" * 23).decode(), base64.b64encode(b"a" * 65).decode()]
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        signature.webhook_secrets(text)
    assert not text.strip() or text.strip().removeprefix("whsec_") not in str(caught.value) or text == "whsec_"


def test_dingtalk_and_feishu_sign_each_in_its_own_way() -> None:
    assert signature.dingtalk("SECtest", 1_700_000_000_000) == "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D"
    assert signature.feishu("SECtest", 1_700_000_000) == "G7XpBpG8NgG02fJOAhX6FRAObIljmFoxVReo8I62pEk="
