"""Money: integers all the way, so that nothing is lost or won by rounding.

Prices are pico-dollars (1e-12 USD) per token, amounts nano-dollars (1e-9 USD). An amount is rounded up, once for each
attempt. People see dollars with six decimals.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from evolving_ai.errors import UsageError

__all__ = ["NANO_PER_USD", "PICO_PER_USD", "TokenPrice", "format_usd", "parse_usd"]

NANO_PER_USD = 10**9
PICO_PER_USD = 10**12
_PICO_PER_NANO = 1000
_NANO_PER_MICRO = 1000
_MICRO_PER_USD = 10**6
_MOST_USD = 10**9
"""What still fits in 64 bits as nano-dollars."""


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What a target charges: pico-dollars for each token that it reads and that it writes."""

    input_pico_usd: int
    output_pico_usd: int

    def cost_nano_usd(self, input_tokens: int, output_tokens: int) -> int:
        """What one attempt costs, rounded up."""
        pico = input_tokens * self.input_pico_usd + output_tokens * self.output_pico_usd
        return -(-pico // _PICO_PER_NANO)


def format_usd(amount_nano_usd: int) -> str:
    """Dollars with six decimals, rounded half to even: `0.000123`."""
    micro, rest = divmod(amount_nano_usd, _NANO_PER_MICRO)
    if rest > _NANO_PER_MICRO // 2 or (rest == _NANO_PER_MICRO // 2 and micro & 1):
        micro += 1
    sign = "-" if micro < 0 else ""
    dollars, fraction = divmod(abs(micro), _MICRO_PER_USD)
    return f"{sign}{dollars}.{fraction:06d}"


def parse_usd(text: str) -> int:
    """Nano-dollars of what a person wrote (`12.50`); UsageError when it is no amount from 0 to a billion."""
    try:
        amount = Decimal(text)
    except InvalidOperation as exc:
        raise UsageError(f"{text!r} is no amount: expected dollars such as 12.50") from exc
    if not amount.is_finite() or not 0 <= amount <= _MOST_USD:
        raise UsageError(f"{text!r} is no amount: expected dollars, 0 to {_MOST_USD}")
    return int((amount * NANO_PER_USD).to_integral_value())
