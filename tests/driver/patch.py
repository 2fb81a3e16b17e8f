"""Functions of a loaded library replaced by those of another one, on x86-64.

CuPy's wheel has NVIDIA's runtime linked in, as functions that only it sees. Their names are in its
table of symbols; over the beginning of each goes a jump.
"""

import ctypes
import mmap
import struct
from pathlib import Path

_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
_TABLE, _FUNCTION = 2, 2  # SHT_SYMTAB, STT_FUNC
_ALL = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC


def functions(image):
    """{name: (offset, bytes)} of the functions in an ELF file."""
    start, entry, count = (
        int.from_bytes(image[at : at + size], "little") for at, size in ((40, 8), (58, 2), (60, 2))
    )
    sections = [_SECTION.unpack_from(image, start + i * entry) for i in range(count)]
    found = {}
    for _, kind, _, _, offset, size, link, *_ in sections:
        if kind != _TABLE:
            continue
        names = sections[link][4]
        for name, info, _, section, value, length in _SYMBOL.iter_unpack(
            image[offset : offset + size]
        ):
            if info & 15 == _FUNCTION and section:
                end = image.index(b"\0", names + name)
                found[image[names + name : end].decode()] = value, length
    return found


def base_of(path):
    """Where a library is loaded in this process."""
    with Path("/proc/self/maps").open() as maps:
        return min(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith(path))


def replace(path, prefix, found, missing):
    """Jumps from the functions of a prefix to found(name), an address, or to missing(its name)."""
    base, kept = base_of(path), []
    for name, (offset, length) in functions(Path(path).read_bytes()).items():
        if not name.startswith(prefix):
            continue
        code = b""
        if (target := found(name)) is None:
            text = ctypes.create_string_buffer(name.encode())
            kept.append(text)
            code += b"\x48\xbf" + struct.pack("<Q", ctypes.addressof(text))  # mov rdi, text
            target = missing
        code += b"\x48\xb8" + struct.pack("<Q", target) + b"\xff\xe0"  # mov rax, target; jmp rax
        if len(code) > length:
            raise RuntimeError(f"{name} has {length} bytes, too few for a jump.")
        _write(base + offset, code)
    return kept


def _write(address, code):
    libc = ctypes.CDLL(None, use_errno=True)
    page = address - address % mmap.PAGESIZE
    size = ctypes.c_size_t(address + len(code) - page)
    if libc.mprotect(ctypes.c_void_p(page), size, _ALL):
        raise OSError(ctypes.get_errno(), "mprotect")
    ctypes.memmove(address, code, len(code))
