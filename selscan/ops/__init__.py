"""Operations: scan (forward, backward, step), the scan along a path, gather and scatter.

Every check that a user meets is in contract, with dtypes, memory and hints, or in path_contract.
"""
