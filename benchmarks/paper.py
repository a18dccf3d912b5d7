"""What a step sends, and what that leaves of a card's speed, on paper: tokens a second of one card
for LoRA and full tuning of 1, 8 and 70 billion weights on 8, 64 and 512 cards. Nothing is measured.

python benchmarks/paper.py            # prints the tables of docs/en/scale.md
"""

from __future__ import annotations

COMPUTE = 400e12  # FLOP a second of one card: 40 % of the 989 · 10¹² in bf16 that an H100 has
INSIDE = 300e9  # bytes a second that a card sends within its machine of 8
FAST = 40e9  # the same between machines with 400 Gbit/s for each card
SLOW = 1.25e9  # and with 100 Gbit/s for the 8 cards of a machine together
MEMORY = 80e9
STEP = 2**20  # tokens of a step, over all cards
PASS = 2**14  # tokens of a micro-batch, at most
ADAPTER = {1e9: 11e6, 8e9: 42e6, 70e9: 207e6}  # LoRA of rank 16 on every linear layer
BLOCK = {1e9: 0.33e9, 8e9: 1.27e9, 70e9: 2.96e9}  # one block, embedding and head


def held(weights: float, cards: int, *, lora: bool, shard: bool) -> float:
    """Bytes that a card holds before activations: frozen weights 2, trained ones 16 each."""
    parts = cards if shard else 1
    adapter = ADAPTER[weights] * 16 if lora else 0.0
    each, whole = (2, 2) if lora else (16, 4)
    return weights * each / parts + adapter + (BLOCK[weights] * whole if shard else 0.0)


def sent(weights: float, cards: int, passes: int, *, lora: bool, shard: bool) -> float:
    """Bytes that a card sends in a step, by rings (as ``plan cards=`` counts them)."""
    others = (cards - 1) / cards
    trained = (ADAPTER[weights] if lora else weights) * 4.0
    if not shard:
        return 2 * others * trained
    if lora:
        return others * (2 * 2 * weights * passes + 2 * trained)
    return others * passes * 3 * trained


def speed(
    weights: float, cards: int, link: float, *, lora: bool, shard: bool
) -> tuple[float, float]:
    """Tokens a second of one card, and the bytes it sends in a step. What is sent for divided
    weights goes on beside the arithmetic; the gradients of whole ones are sent after it.
    """
    each = STEP / cards
    passes = max(1, round(each / PASS))
    work = (4 if lora else 6) * weights * each / COMPUTE
    amount = sent(weights, cards, passes, lora=lora, shard=shard)
    wait = amount / (INSIDE if cards <= 8 else link)
    return each / (max(work, wait) if shard else work + wait), amount


def main() -> None:
    """Prints a table for each kind of training."""
    for lora in (True, False):
        print(f"\n{'LoRA' if lora else 'full'}\n")
        print("| weights | cards | layout | GB held | GB sent a step | tokens/s | slow links |")
        print("|---|---|---|---|---|---|---|")
        for weights in ADAPTER:
            for cards in (8, 64, 512):
                for shard in (False, True):
                    size = held(weights, cards, lora=lora, shard=shard)
                    told = f"| {weights / 1e9:g}B | {cards} | {'fsdp' if shard else 'none'} "
                    if size > MEMORY:
                        print(f"{told}| {size / 1e9:.0f} | – | does not fit | |")
                        continue
                    fast, amount = speed(weights, cards, FAST, lora=lora, shard=shard)
                    slow, _ = speed(weights, cards, SLOW, lora=lora, shard=shard)
                    other = "–" if cards <= 8 else f"{slow:,.0f}"
                    print(
                        f"{told}| {size / 1e9:.1f} | {amount / 1e9:.2f} | {fast:,.0f} | {other} |"
                    )


if __name__ == "__main__":
    main()
