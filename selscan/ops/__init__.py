"""Operations: contract (every user-facing check), arrays (frameworks), scan (forward, backward)."""
