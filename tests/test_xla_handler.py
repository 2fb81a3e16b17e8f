"""The function that XLA calls, with call frames that XLA would not make; no jax is needed."""

import ctypes

import numpy as np
import pytest

from selscan.backends.cpu import xla, xla_handler


class Frame:
    """A call frame as XLA makes one, with a function that makes errors: their messages."""

    def __init__(self, block, size=168, version=(0, 3), operands=0, results=1, extension=0):
        self.messages, self._alive = [], []
        self._error = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self._make_error)
        address = ctypes.cast(self._error, ctypes.c_void_p).value
        both = version[0] | version[1] << 32
        api = self._words([152, 0, 24, 0, both, 0, address])
        block = np.asarray(block, np.int64)
        array = self._words([xla_handler._S64, len(block), self._address(block)])
        scratch = int(block[xla_handler.SCRATCH_SIZE]) if len(block) > 8 else 64
        memory = np.zeros(max(scratch, 64), np.uint8)
        dims = self._words([scratch])
        buffer = self._words([48, 0, 6, self._address(memory), 1, dims])
        rets = self._words([buffer] * results)
        words = [size, extension, api, 0, 3]
        words += [40, 0, operands, 0, self._words([0] * max(operands, 1))]
        words += [40, 0, results, self._words([1] * results), rets]
        words += [48, 0, 1, self._words([1]), 0, self._words([array])]
        self.address = self._words(words)

    def _address(self, array):
        self._alive.append(array)
        return array.ctypes.data

    def _words(self, values):
        return self._address(np.array(values, np.int64))

    def _make_error(self, arguments):
        words = np.frombuffer(ctypes.string_at(arguments, 32), np.int64)
        assert words[:2].tolist() == [32, 0]
        self.messages.append(ctypes.string_at(int(words[2])).decode())
        return 12345

    def handle(self):
        handler = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(xla.handler())
        return handler(self.address)


def block_of(**replaced):
    block = np.zeros(xla_handler.HEAD, np.int64)
    block[xla_handler.STAMP] = xla._stamp()
    block[xla_handler.KERNEL] = xla_handler.FIRST
    block[xla_handler.SCRATCH_SIZE] = 256
    block[xla_handler.WORKERS] = 1
    for name, value in replaced.items():
        block[getattr(xla_handler, name)] = value
    return block


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (lambda: Frame(block_of(), size=160), xla_handler.BAD_FRAME),
        (lambda: Frame(block_of(), version=(1, 0)), xla_handler.BAD_FRAME),
        (lambda: Frame([1, 2, 3]), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(OPERANDS=1)), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(), operands=1), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(), results=2), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(SIZE=1)), xla_handler.BAD_CALL),
        (lambda: Frame(block_of(STAMP=1)), xla_handler.OTHER_STAMP),
    ],
    ids=[
        "size",
        "version",
        "numbers",
        "few in block",
        "few operands",
        "few results",
        "other size",
        "stamp",
    ],
)
def test_a_frame_that_is_not_known_is_an_error(frame, message):
    frame = frame()

    assert frame.handle() == 12345
    assert frame.messages == [xla.MESSAGES[message]]


def test_a_kernel_that_is_not_there_is_an_error():
    before = xla._table[xla_handler.FIRST]
    frame = Frame(block_of())

    xla._table[xla_handler.FIRST] = 0
    try:
        assert frame.handle() == 12345
    finally:
        xla._table[xla_handler.FIRST] = before
    assert frame.messages == [xla.MESSAGES[xla_handler.NOT_LINKED]]


@pytest.mark.parametrize(("version", "answer"), [((0, 2), 2), ((0, 3), 3), ((0, 9), 3)])
def test_the_version_is_the_callers_up_to_the_one_that_is_known(version, answer):
    metadata = np.zeros(8, np.int64)
    extension = np.array([32, 1, 0, metadata.ctypes.data], np.int64)

    assert Frame(block_of(), version=version, extension=extension.ctypes.data).handle() == 0
    assert metadata[3] == answer << 32


def test_every_kernel_has_a_number_of_its_own():
    assert len(set(xla._NUMBERS.values())) == len(xla._KERNELS) == len(xla._NUMBERS)
    assert max(xla._NUMBERS.values()) < len(xla._table)
