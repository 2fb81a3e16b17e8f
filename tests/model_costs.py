"""Parameters and GFLOPs of each variant, for an image of 224 x 224 pixels.

Found by running the official implementations; the operations in the way of selscan/models/flops.py.
"""

COSTS = {
    "vim_tiny": (7_148_008, 1.823),
    "vim_tiny_stride8": (7_250_344, 6.755),
    "vim_small": (25_796_584, 5.912),
    "vim_small_stride8": (26_001_256, 21.905),
    "vim_base": (97_598_440, 20.886),
    # The official counter of LocalVim counts one route of four. All, by hand, for each layer,
    # with K routes, E = 2 d, R = d / 16, N = 16: 3 d E L + K E (4 + R + 2 N + R + 9 N + 2) L.
    "local_vim_tiny": (7_994_152, 2.139),
    "local_vim_tiny_middle_cls_token": (7_994_536, 2.150),
    "local_vim_tiny_wo_search": (7_994_152, 2.139),
    "local_vim_small": (27_783_784, 6.308),
    "local_vssm_tiny": (25_527_160, 5.729),
    "local_vssm_small": (49_748_536, 11.373),
    "local_vim_tiny_search": (5_473_288, 1.994),
    "local_vssm_tiny_search": (4_576_656, 2.109),
    "local_vssm_small_search": (9_148_512, 3.940),
    "vmamba_v0_tiny": (22_893_448, 5.627),
    "vmamba_v0_small": (44_417_416, 11.232),
    "vmamba_v0_base": (76_254_056, 18.020),
    "vmamba_tiny_s2l5": (30_705_832, 4.858),
    "vmamba_small_s2l15": (50_147_752, 8.716),
    "vmamba_base_s2l15": (88_557_800, 15.359),
    "vmamba_tiny_s1l8": (30_249_064, 4.906),
    "vmamba_small_s1l20": (49_012_840, 8.612),
    "vmamba_base_s1l20": (86_614_504, 15.221),
    "efficientvmamba_tiny": (6_493_660, 0.806),
    "efficientvmamba_small": (11_273_688, 1.343),
    "efficientvmamba_base": (33_717_136, 3.997),
    "msvmamba_nano": (6_864_136, 0.883),
    "msvmamba_micro": (11_879_272, 1.532),
    "msvmamba_tiny": (33_046_312, 4.613),
    "msvmambav3_tiny": (32_263_720, 5.134),
    "msvmambav3_small": (50_216_296, 8.772),
    "msvmambav3_base": (90_591_976, 16.283),
}
