"""Pseudonyms: HMAC in Base32, sequential tokens, Crypto-PAn."""

import base64
import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .keys import ColumnKeys, mac

Scope = tuple[str, str | None, int]


def message(value: Any) -> bytes:
    """The bytes a pseudonym is made of."""
    return value if isinstance(value, bytes) else str(value).encode()


def normalized(value: Any, steps: list[str]) -> bytes:
    """The value after the steps that the policy declares."""
    if not steps or not isinstance(value, str):
        return message(value)
    if "nfc" in steps:
        value = unicodedata.normalize("NFC", value)
    if "trim" in steps:
        value = value.strip()
    if "case_fold" in steps:
        value = value.upper().lower()
        if "nfc" in steps:
            value = unicodedata.normalize("NFC", value)
    return message(value)


def base32(tag: bytes, characters: int) -> str:
    """The first characters of lower-case Base32."""
    return base64.b32encode(tag).decode().rstrip("=").lower()[:characters]


def hmac_pseudonym(keys: ColumnKeys, args: dict[str, Any], value: Any) -> str:
    """The keyed hash of a value; null (`None`) has a label of its own."""
    key, characters = keys.derive("hmac"), args.get("length", 22)
    prefix = args.get("prefix", "")
    if value is None:
        return prefix + base32(mac(key, b"n"), characters)
    plain = normalized(value, args.get("normalize", []))
    text = prefix + base32(mac(key, b"v" + plain), characters)
    if args.get("keep") == "email_domain":
        label = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
        found = re.fullmatch(
            rf"[^@]+(@(?:{label}\.)+(?=[A-Za-z]){label})", plain.decode(), re.DOTALL
        )
        text += found[1] if found else ""
    return text


class Tokens:
    """The numbers that each scope has given out."""

    def __init__(self) -> None:
        self.maps: dict[Scope, dict[str, int]] = {}

    def learn(
        self, keys: ColumnKeys, args: dict[str, Any], values: Iterable[Any]
    ) -> dict[str, int]:
        """Number what is new in a column, in the secret order or that of arrival."""
        numbers = self.maps.setdefault(keys.scope, {})
        steps = args.get("normalize", [])
        news = [normalized(value, steps).decode() for value in values if value is not None]
        news = [value for value in dict.fromkeys(news) if value not in numbers]
        if args.get("order", "keyed") == "keyed":
            key = keys.derive("token-order")
            news.sort(key=lambda value: mac(key, b"o" + value.encode()))
        for value in news:
            numbers[value] = len(numbers) + 1
        return numbers


def token(args: dict[str, Any], number: int) -> str:
    """A number the way the policy writes it."""
    text = letters(number) if args.get("style") == "letters" else str(number)
    return args.get("prefix", "ID_") + text.rjust(args.get("width", 1), "0")


def letters(number: int) -> str:
    """1 is A, 26 is Z, 27 is AA, 703 is AAA."""
    text = ""
    while number > 0:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


class CryptoPan:
    """Xu, Fan, Ammar, Moon: bit i of the pad is the first bit of AES over i bits and padding."""

    def __init__(self, key: bytes) -> None:
        self.aes = Cipher(algorithms.AES(key[:16]), modes.ECB()).encryptor()
        self.pad = int.from_bytes(self.aes.update(key[16:]), "big")

    def encrypt(self, address: int, bits: int) -> int:
        """An address of 32 or 128 bits."""
        first, blocks = address << (128 - bits), b""
        for position in range(bits):
            rest = (1 << (128 - position)) - 1
            blocks += ((first & ~rest) | (self.pad & rest)).to_bytes(16, "big")
        sealed = self.aes.update(blocks)
        pad = 0
        for position in range(bits):
            pad = (pad << 1) | (sealed[16 * position] >> 7)
        return address ^ pad


def address_of(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a value is, `::ffff:a.b.c.d` being IPv4, or nothing."""
    try:
        if isinstance(value, str) and "%" in value:
            return None
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
