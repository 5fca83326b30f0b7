"""The key ring file and the keys derived from it: HKDF-SHA-256 (RFC 5869) from `hmac` alone."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.new(key, message, hashlib.sha256).digest()


def hkdf(master: bytes, info: bytes, length: int = 32) -> bytes:
    """HKDF-SHA-256 without salt."""
    key, block, out = mac(bytes(32), master), b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = mac(key, block + info + bytes([counter]))
        out += block
    return out[:length]


@dataclass(frozen=True)
class Ring:
    """Master keys by epoch."""

    masters: dict[int, bytes]

    @classmethod
    def read(cls, path: Path) -> "Ring":
        """The ring of a file as `key init` writes it."""
        found = re.findall(r"^(\d+) \S+ ([0-9a-f]{64})$", path.read_text(), re.MULTILINE)
        return cls({int(epoch): bytes.fromhex(key) for epoch, key in found})

    @property
    def newest(self) -> int:
        """The newest epoch."""
        return max(self.masters)

    def derive(self, epoch: int, labels: list[str]) -> bytes:
        """A key of 32 bytes: each label stands in the info with its length before it."""
        info = b"veilflight/1"
        for label in labels:
            info += len(label.encode()).to_bytes(8, "big") + label.encode()
        return hkdf(self.masters[epoch], info)


@dataclass(frozen=True)
class ColumnKeys:
    """The keys of one column for one partner, or for all where linkage is shared."""

    ring: Ring
    domain: str
    partner: str | None
    epoch: int

    def derive(self, scheme: str) -> bytes:
        """The key of a scheme."""
        audience = ["shared", ""] if self.partner is None else ["partner", self.partner]
        return self.ring.derive(self.epoch, ["column", scheme, self.domain, *audience])

    @property
    def scope(self) -> tuple[str, str | None, int]:
        """What a token map belongs to."""
        return self.domain, self.partner, self.epoch
