"""PTX that NVRTC made, as CUDA C++ that the emulator compiles: the machine's code runs on the CPU.

So does what stands under `#ifdef __CUDA_ARCH__`, inline assembly above all, which the emulator does
not see otherwise. One function with one parameter; an instruction that is not known is an error.
kernels/ptx.cuh has the instructions.
"""

import re

from . import Module
from .compiler import HERE

TYPES = {
    **{f"{kind}{bits}": f"uint{bits}_t" for kind in "bu" for bits in (8, 16, 32, 64)},
    **{f"s{bits}": f"int{bits}_t" for bits in (8, 16, 32, 64)},
    "f32": "float",
    "f64": "double",
    "pred": "bool",
}
SPECIAL = {
    "%tid.x": "threadIdx.x",
    "%ntid.x": "blockDim.x",
    "%ctaid.x": "blockIdx.x",
    "%nctaid.x": "gridDim.x",
    "%laneid": "(threadIdx.x % 32)",
}
WIDE = {"s16": "s32", "u16": "u32", "s32": "s64", "u32": "u64"}
SAME = {"add", "sub", "mul", "div", "rem", "min", "max", "mad", "fma", "neg", "abs"}
LOGIC = {"and": "and_", "or": "or_", "xor": "xor_", "not": "not_"}
APPROXIMATE = {"ex2.approx.ftz.f32": "ex2_approx_ftz", "rcp.approx.ftz.f32": "rcp_approx_ftz"}
ATOMIC = {"or": "atomicOr"}
IGNORED = (".loc", ".pragma", ".file", ".section")
DYNAMIC = r"\.extern \.shared \.align \d+ \.b8 (\w+)\[\]"
STATIC = r"\.shared\s+\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]"
TEXT = r"\.global \.align 1 \.b8 ([^\s\[]+)(\[\d+\] = \{[^}]*\});"
FAST = ("-O0",)  # to compile: functions are long and problems small


def module(text, size):
    """A Module with the function `kernel`, of PTX whose parameter has so many bytes."""
    folder = f"-I{HERE / 'kernels'}"
    return Module(translate(text, size), ["kernel"], options=(folder,), file="ptx", flags=FAST)


def translate(text, size):
    """C++ of the function in a PTX text."""
    text = re.sub(r"//[^\n]*", "", text.replace("\0", ""))
    outside, body = text.split(".entry", 1)
    body = body[body.index("{") + 1 : body.index("\n}")]
    lines = [line for number, part in enumerate(statements(body), 1) for line in emit(part, number)]
    first = [line for line in lines if line.startswith("/*declared*/")]
    rest = [line for line in lines if not line.startswith("/*declared*/")]
    static = "".join(f"{{{name}, {room}}}, " for _, name, room in re.findall(STATIC, body))
    return "\n".join(
        (
            '#include "ptx.cuh"',
            f"struct alignas(8) Parameter {{ char bytes[{size}]; }};",
            "__global__ void kernel(const Parameter parameter) {",
            "extern __shared__ __align__(64) char dynamic[];",
            *(
                f"const uint64_t {name} = (uint64_t)dynamic;"
                for name in re.findall(DYNAMIC, outside)
            ),
            *(
                array("static const char", name_of(name), text)
                for name, text in re.findall(TEXT, outside)
            ),
            *first,
            f"const ptx::Variable shared_variables[] = {{{static}{{(uint64_t)dynamic, 0}}}};",
            "(void)shared_variables;",
            *rest,
            "}",
        )
    )


def array(kind, name, rest):
    """An array, and its address under its name."""
    return f"{kind} {name}_bytes{rest}; const uint64_t {name} = (uint64_t){name}_bytes;"


def statements(body):
    """Labels, braces, directives and instructions, one after the other."""
    at, pattern = 0, re.compile(r"\s*(?:(\$?\w+:)|([{}])|([^;]*;))")
    body = "\n".join(line for line in body.splitlines() if not line.strip().startswith(IGNORED))
    while match := pattern.match(body, at):
        at = match.end()
        yield match[0].strip().rstrip(";").strip()


def emit(text, number):
    """Lines of C++ for a statement."""
    if text in ("", "{", "}"):
        return [text]
    if text.endswith(":"):
        return [f"{name_of(text[:-1])}:;"]
    if match := re.fullmatch(r"\.reg\s+\.(\w+)\s+(.+)", text, re.DOTALL):
        declared = [names for part in match[2].split(",") for names in registers(part.strip())]
        everywhere = "/*declared*/" if "<" in match[2] else ""  # others are of a block
        return [f"{everywhere}{TYPES[match[1]]} {', '.join(declared)};"]
    if match := re.fullmatch(r"\.local\s+\.align\s+(\d+)\s+\.b8\s+(\w+)\[(\d+)\]", text):
        return ["/*declared*/" + array(f"alignas({match[1]}) char", match[2], f"[{match[3]}]")]
    if match := re.fullmatch(STATIC, text):
        kind = f"__shared__ __align__({match[1]}) char"
        return ["/*declared*/" + array(kind, match[2], f"[{match[3]}]")]
    if match := re.fullmatch(r"\.param\s+\.b(\d+)\s+(\w+)", text):
        return [f"uint{match[1]}_t {match[2]};"]
    guard = ""
    if match := re.match(r"@(!?)(%?\w+)\s+", text):
        guard, text = f"if ({match[1]}{name_of(match[2])}) ", text[match.end() :]
    operation, _, rest = text.replace("\t", " ").partition(" ")
    return [f"{guard}{{ {instruction(operation, split(rest), number)} }}"]


def registers(part):
    """The names of %r<3>, or of a single register."""
    match = re.fullmatch(r"%(\w+)<(\d+)>", part)
    return [f"{match[1]}{i}" for i in range(int(match[2]))] if match else [name_of(part)]


def name_of(register):
    return register.lstrip("%").replace("$", "L_")


def split(text):
    """Operands, of which braces and brackets hold commas together."""
    return [part.strip() for part in re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|[^,])+", text)]


def value(operand):
    """A register, a number or an address in C++."""
    if operand in SPECIAL:
        return SPECIAL[operand]
    if match := re.fullmatch(r"0([fd])([0-9A-Fa-f]+)", operand):
        return f"0x{match[2]}{'u' if match[1] == 'f' else 'ull'}"
    if re.fullmatch(r"-?(\d+|0x[0-9A-Fa-f]+)", operand):
        return "INT64_MIN" if operand == str(-(2**63)) else f"{operand}ll"
    if operand.endswith("_param_0"):
        return "(uint64_t)&parameter"
    return name_of(operand)


def in_shared(address):
    """The host's address of what has an address in shared memory."""
    return f"ptx::shared(uint32_t({address}), shared_variables)"


def typed(kind, operand, ftz=False):
    """An operand as the type of an instruction."""
    text = f"ptx::as<{TYPES[kind]}>({value(operand)})"
    return f"ptx::ftz({text})" if ftz and kind == "f32" else text


def put(register, text):
    """A register gets a value."""
    return "" if register == "_" else f"ptx::put({name_of(register)}, {text});"


def instruction(operation, operands, number):
    """C++ of one instruction."""
    root, *flags = operation.split(".")
    kind, ftz = flags[-1] if flags else "", "ftz" in flags
    if root == "bra":
        return f"goto {name_of(operands[0])};"
    if root in ("ret", "exit"):
        return "return;"
    if root == "bar" and flags[0] == "red":
        return put(operands[0], f"__syncthreads_{flags[1]}({name_of(operands[2])})")
    if root == "bar":
        return "__syncwarp();" if flags[0] == "warp" else "__syncthreads();"
    if root == "vote":
        mask, wanted = typed("u32", operands[2]), name_of(operands[1])
        return put(operands[0], f"__{flags[1]}_sync({mask}, {wanted})")
    if root == "call" and operands[0] == "__assertfail":
        return f'emulator::fail({{"ptx", {number}}}, "assert(%s)", (const char*)param0);'
    if root == "atom":
        return atomic(flags, operands, number)
    if root in ("ld", "st"):
        return memory(root, flags, operands, number)
    if root == "mov":
        return move(kind, operands)
    if root == "cvta":
        is_low = flags[0] == "shared"
        source = in_shared(value(operands[1])) if is_low else value(operands[1])
        return put(operands[0], source)
    if root == "shfl":
        return shuffle(flags[1], operands)
    if root == "cvt":
        return convert(flags, operands, ftz)
    if operation in APPROXIMATE:
        call = f"emulator::{APPROXIMATE[operation]}({typed('f32', operands[1])})"
        return put(operands[0], call)
    given = [typed(kind, operand, ftz) for operand in operands[1:]]
    if root == "rcp":
        return put(operands[0], f"ptx::rcp_{flags[0]}({given[0]})")
    if root == "setp":
        return put(operands[0], f"ptx::{comparison(flags[0])}({', '.join(given)})")
    if root == "selp":
        return put(operands[0], f"{name_of(operands[3])} ? {given[0]} : {given[1]}")
    if root in ("shl", "shr"):
        return put(operands[0], f"ptx::{root}({given[0]}, {typed('u32', operands[2])})")
    if root == "bfi":
        where = [typed("u32", operand) for operand in operands[3:]]
        return put(operands[0], f"ptx::bfi({', '.join(given[:2] + where)})")
    if root in LOGIC:
        return put(operands[0], f"ptx::{LOGIC[root]}({', '.join(given)})")
    if root == "mul" and "wide" in flags:
        return put(operands[0], f"ptx::mul_wide<{TYPES[WIDE[kind]]}>({', '.join(given)})")
    if root in SAME and "hi" not in flags and "wide" not in flags:
        call = f"ptx::{root}({', '.join(given)})"
        return put(operands[0], f"ptx::ftz({call})" if ftz else call)
    raise ValueError(f"{operation} {', '.join(operands)} is not known.")


def comparison(flag):
    """lo, ls, hi and hs are of unsigned numbers."""
    return {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}.get(flag, flag)


def memory(root, flags, operands, number):
    """A load or a store of one to four elements."""
    kind, space = flags[-1], flags[0]
    place, register = (operands[1], operands[0]) if root == "ld" else operands
    names = split(register.strip("{}")) if register.startswith("{") else [register]
    base, offset = re.fullmatch(r"\[([^+\]]+)(?:\+(-?\d+))?\]", place).groups()
    if root == "st" and space == "param":  # of a call
        return put(base, typed(kind, register))
    address = f"uint64_t({value(base)}) + ({offset or 0}ll)"
    if space == "shared":
        address = in_shared(address)
    size = f"{len(names)} * sizeof({TYPES[kind]})"
    text = f"char* const at = ptx::at({address}, {size}, {number});"
    for i, name in enumerate(names):
        here = f"at + {i} * sizeof({TYPES[kind]})"
        if root == "st":
            text += f" ptx::store({here}, {typed(kind, name)});"
        else:
            text += f" const auto x{i} = ptx::load<{TYPES[kind]}>({here});"
    if root == "ld":
        text += "".join(f" {put(name, f'x{i}')}" for i, name in enumerate(names))
    return text


def atomic(flags, operands, number):
    """A change of a number in memory."""
    space, change, kind = flags
    address = f"uint64_t({value(operands[1].strip('[]'))})"
    if space == "shared":
        address = in_shared(address)
    place = f"({TYPES[kind]}*)ptx::at({address}, sizeof({TYPES[kind]}), {number})"
    return put(operands[0], f"{ATOMIC[change]}({place}, {typed(kind, operands[2])})")


def move(kind, operands):
    """A copy, or two halves into one register and back."""
    to, source = operands
    half = {"b32": "16", "b64": "32"}.get(kind)
    if source.startswith("{"):
        low, high = (typed(f"u{half}", x) for x in split(source.strip("{}")))
        whole = TYPES[kind]
        return put(to, f"{whole}({whole}({low}) | {whole}({high}) << {half})")
    if to.startswith("{"):
        low, high = split(to.strip("{}"))
        whole = f"const auto whole = {typed(kind, source)};"
        part = f"uint{half}_t"
        return f"{whole} {put(low, f'{part}(whole)')} {put(high, f'{part}(whole >> {half})')}"
    return put(to, typed(kind, source))


def shuffle(mode, operands):
    """With the predicate of whether the source was in range, where that is asked for."""
    to, _, predicate = operands[0].partition("|")
    source, by, clamp, mask = (typed("u32", x) for x in operands[1:5])
    text = f"const uint32_t x = ptx::{mode}({mask}, {source}, {by}, {clamp});"
    lane = f"int(threadIdx.x % ptx::width_of({clamp}))"
    reach = {
        "up": f"{lane} >= int({by})",
        "down": f"{lane} + int({by}) < ptx::width_of({clamp})",
    }.get(mode, "true")
    found = f"const bool reached = {reach};" if predicate else ""
    return f"{text} {found} {put(to, 'x')} {put(predicate, 'reached') if predicate else ''}"


def convert(flags, operands, ftz):
    """Between numbers of all types."""
    to, source = flags[-2], flags[-1]
    if source in ("f16", "bf16"):
        return put(operands[0], f"ptx::from_{source}({typed('u16', operands[1])})")
    if to in ("f16x2", "bf16x2"):
        high, low = (f"ptx::to_{to[:-2]}({typed('f32', x)})" for x in operands[1:])
        return put(operands[0], f"uint32_t({high}) << 16 | {low}")
    if to in ("f16", "bf16"):
        return put(operands[0], f"ptx::to_{to}({typed('f32', operands[1])})")
    text = typed(source, operands[1], ftz)
    if "rni" in flags:
        text = f"rint({text})"
    text = f"{TYPES[to]}({text})"
    return put(operands[0], f"ptx::ftz({text})" if ftz and to == "f32" else text)
