"""Operations: scan (forward, backward, step) and gather, on arrays and exchange (frameworks).

Every check that a user meets is in contract, with dtypes, memory and hints, or in path_contract.
"""
