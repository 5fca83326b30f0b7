"""The independent computation itself, against published vectors."""

from pathlib import Path

from reference.keys import hkdf
from reference.pseudonyms import CryptoPan, letters

CRYPTO_PAN_KEY = bytes(
    int(octet)
    for octet in """
        21 34 23 141 51 164 207 128 19 10 91 22 73 144 125 16
        216 152 143 131 121 121 101 39 98 87 76 45 42 132 34 2
    """.split()
)


def test_hkdf_gives_the_third_vector_of_rfc_5869() -> None:
    expected = (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
    assert hkdf(b"\x0b" * 22, b"", 42).hex() == expected


def test_crypto_pan_gives_the_sample_trace(shared: Path) -> None:
    folder = shared / "vectors" / "cryptopan"
    scheme = CryptoPan(CRYPTO_PAN_KEY)
    pairs = 0
    raw, sealed = (
        (folder / f"sample_trace_{kind}.dat").read_text() for kind in ("raw", "sanitized")
    )
    for before, after in zip(raw.splitlines(), sealed.splitlines(), strict=True):
        address, expected = (number(line.split()[2]) for line in (before, after))
        assert scheme.encrypt(address, 32) == expected
        pairs += 1
    assert pairs > 0


def number(address: str) -> int:
    """A dotted quad as a number."""
    return int.from_bytes(bytes(map(int, address.split("."))), "big")


def test_letters_go_past_z_and_past_zz() -> None:
    found = [letters(number) for number in (1, 26, 27, 52, 53, 702, 703)]
    assert found == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]
