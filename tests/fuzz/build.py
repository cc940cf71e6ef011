"""Builds the fuzz targets around the shipping C: as libFuzzer programs (clang) or alone (cc)."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.native import NATIVE, ROOT
from tests.powercut.plans import random_blob

HERE = ROOT / "tests" / "fuzz"
PEERS = ROOT / "tests" / "powercut"
BUILD = ROOT / "build" / "fuzz"
KINDS = ("fram", "flash", "file")
TARGETS: dict[str, tuple[str, ...]] = {
    "blob": ("fields.c", "opinion.c"),
    "store": ("images.c", "model_open.c"),
    "kv": ("images.c",),
    "slots": ("images.c", "model_open.c"),
    "link": ("model_open.c",),
    "frame": ("cobs.c",),
    "request": ("model_open.c",),
}
# Targets that are made of a few of the shipping sources.
ONLY = {"frame": ("frame.c", "crc32.c")}
MODELS_OF_A_KIND = 4
WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
SANITIZERS = ("-g", "-O2", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")
CLANGS = ("clang", *(f"clang-{version}" for version in range(22, 12, -1)))


@dataclass(frozen=True)
class Compiler:
    """A compiler, whether it brings libFuzzer along, its sanitizers and more options."""

    command: str
    guided: bool
    sanitizers: str = "address,undefined"
    more: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        extra = ",fuzzer-no-link" if self.guided else ""
        return (*WARNINGS, *SANITIZERS, *self.more, *self._watched(extra))

    @property
    def link(self) -> tuple[str, ...]:
        extra = ",fuzzer" if self.guided else ""
        return (*SANITIZERS, *self.more, *self._watched(extra))

    def _watched(self, extra: str) -> tuple[str, ...]:
        return (f"-fsanitize={self.sanitizers}{extra}",) if self.sanitizers else ()


@functools.cache
def clang() -> Compiler | None:
    """The newest clang with libFuzzer and the sanitizers, if there is one."""
    probe = BUILD / f"probe.{os.getpid()}"
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in filter(shutil.which, CLANGS):
        found = Compiler(name, True)
        source = "#include <stddef.h>\nint LLVMFuzzerTestOneInput(const void *p, size_t n)"
        done = subprocess.run(
            [name, *found.link, "-x", "c", "-", "-o", str(probe)],
            input=source + "{ (void)p; (void)n; return 0; }",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        probe.unlink(missing_ok=True)
        if done.returncode == 0:
            return found
    return None


def alone() -> Compiler | None:
    """The machine's C compiler: no guidance, the same promises."""
    return Compiler("cc", False) if shutil.which("cc") else None


def _made(command: list[str], target: Path) -> Path:
    """The compiler's output, whole or not at all: others may build at the same time."""
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    done = subprocess.run(
        [*command, "-o", str(partial)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return partial.replace(target)


def _headers(folders: list[Path]) -> float:
    """When the newest of them was changed."""
    return max(p.stat().st_mtime for folder in folders for p in folder.rglob("*.h"))


def _models(folder: Path) -> Path:
    """models.c: small random nets with random plans, for each NVM."""
    text = '#include "models.h"\n\n'
    table = ""
    for kind in KINDS:
        entries = []
        for seed in range(MODELS_OF_A_KIND):
            image, name = random_blob(seed, nvm=kind), f"{kind}_{seed}"
            numbers = ",".join(map(str, image))
            text += "static const uint8_t __attribute__((aligned(16)))\n"
            text += f"{name}[] = {{{numbers}}};\n"
            entries.append(f"{{ {name}, {len(image)} }}")
        table += f"    {{ {', '.join(entries)} }},\n"
    text += f"const model_image models[3][MODELS] = {{\n{table}}};\n"
    path = folder / "models.c"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def sources(native: Path = NATIVE) -> list[Path]:
    """The shipping C without bindings and drivers of real hardware."""
    found = [*native.glob("*.c"), *native.glob("kernels/*/*.c")]
    return sorted(p for p in found if not p.name.startswith("bind_") and p.name != "nvm_file.c")


def _core(target: str, native: Path) -> list[Path]:
    """The shipping sources that a target is made of."""
    only = ONLY.get(target)
    return [path for path in sources(native) if only is None or path.name in only]


def concerned(target: str) -> list[Path]:
    """The files that a target's counts hold for."""
    core, own = _core(target, NATIVE), HERE / "targets"
    heads = [path.with_suffix(".h") for path in core] if target in ONLY else NATIVE.rglob("*.h")
    mine = ["target.c", "standalone.c", f"{target}.c", *TARGETS[target]]
    peers = [] if target in ONLY else [PEERS / "faultnvm.c"]
    return [*core, *(path for path in heads if path.is_file()), *(own / one for one in mine),
            *own.glob("*.h"), *peers]  # fmt: skip


def _object(native: Path, source: Path) -> str:
    return "_".join(source.relative_to(native).with_suffix(".o").parts)


def faulty(compiler: Compiler, target: str, source: str, text: str, folder: Path) -> Path:
    """A target around sources of which one reads as `text`; programs() has built the others."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(source).name
    path.write_text(text, encoding="utf-8")
    built = BUILD / ("guided" if compiler.guided else "alone")
    flags = [*compiler.flags, "-Wno-error", f"-I{NATIVE}"]
    broken = _made([compiler.command, *flags, "-c", str(path)], folder / "broken.o")
    parts = [str(part) for part in _parts(target, compiler, NATIVE, built)]
    parts[parts.index(str(built / _object(NATIVE, NATIVE / source)))] = str(broken)
    return _made([compiler.command, *compiler.link, *parts], folder / target)


def _parts(target: str, compiler: Compiler, native: Path, folder: Path) -> list[Path]:
    """Objects that a target is linked from."""
    own = ["target.c", f"{target}.c", *TARGETS[target]]
    own += ["faultnvm.c"] * (target not in ONLY)
    own += [] if compiler.guided else ["standalone.c"]
    own += ["models.c"] * ("model_open.c" in TARGETS[target])
    core = [folder / _object(native, path) for path in _core(target, native)]
    return [*core, *(folder / f"target_{part}.o" for part in own)]


def programs(
    compiler: Compiler, names: tuple[str, ...] = tuple(TARGETS), *, native: Path = NATIVE,
    folder: Path | None = None,
) -> dict[str, Path]:  # fmt: skip
    """Name -> program. native: the C to build; folder: where, by default below build/fuzz."""
    folder = folder or BUILD / ("guided" if compiler.guided else "alone")
    folder.mkdir(parents=True, exist_ok=True)
    include = [native, HERE / "targets", PEERS]
    flags = [*compiler.flags, *(f"-I{path}" for path in include)]
    newest = _headers(include)

    def compiled(job: tuple[Path, str]) -> Path:
        source, target = job[0], folder / job[1]
        if target.is_file() and target.stat().st_mtime > max(newest, source.stat().st_mtime):
            return target
        return _made([compiler.command, *flags, "-c", str(source)], target)

    shared = ["target.c", *([] if compiler.guided else ["standalone.c"])]
    parts = {*shared, *(f"{name}.c" for name in names), *(p for n in names for p in TARGETS[n])}
    jobs = [(path, _object(native, path)) for path in sources(native)]
    jobs += [(HERE / "targets" / part, f"target_{part}.o") for part in sorted(parts)]
    jobs += [(PEERS / "faultnvm.c", "target_faultnvm.c.o"), (_models(folder), "target_models.c.o")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compiled, jobs))
    made = {}
    for name in names:
        objects = map(str, _parts(name, compiler, native, folder))
        made[name] = _made([compiler.command, *compiler.link, *objects], folder / name)
    return made
