"""What .ci/run runs under the sanitizers: add a kernel here.

A case is the dotted name of a function without arguments that launches kernels and asserts what
they compute; plain builds run it too. Small, odd shapes: a case should take seconds when plain is
a fifth of one.
"""

CASES = (
    "emulator.demos.check_scan",
    "emulator.demos.check_warp",
    "emulator.demos.check_atomics",
    "emulator.scan_cases.check_sequential",
    "emulator.scan_cases.check_along_time",
    "emulator.scan_cases.check_single_channels",
    "emulator.scan_cases.check_whole_warps",
    "emulator.scan_cases.check_general",
    "emulator.scan_cases.check_segments",
    "emulator.scan_cases.check_segments_along_time",
    "emulator.scan_cases.check_step",
    "emulator.scan_cases.check_backward_walking",
    "emulator.scan_cases.check_backward_in_segments",
    "emulator.scan_cases.check_backward_general",
    "emulator.map_cases.check_gather",
    "emulator.map_cases.check_scatter",
    "emulator.map_cases.check_cross",
    "emulator.map_cases.check_windows",
    "emulator.map_cases.check_joined",
    "emulator.map_cases.check_cross_backward",
    "emulator.map_cases.check_windows_backward",
    "emulator.map_cases.check_joined_backward",
    "emulator.sample_orders.check_moved",
    "emulator.sample_orders.check_scanned",
    "emulator.in_order.check_forward",
    "emulator.in_order.check_backward",
    "emulator.in_order.check_maps",
    "emulator.in_order.check_small_maps",
    "emulator.crosses.check_small",
    "emulator.crosses.check_large",
)
