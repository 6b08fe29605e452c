"""What the benchmark runs on: tools and peers, made in bench/.work, and the machine's facts."""

import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = BENCH / ".work"

#: The Python of the service and the one of the peers.
SERVICE_PYTHON = ROOT / ".venv/bin/python"
PEERS_PYTHON = WORK / "venv/bin/python"

GO_SOURCES = Path("/usr/share/gocode")
GO_LIBRARIES = ("websocket", "mux")
GO_PACKAGES = ("golang-go", *(f"golang-github-gorilla-{name}-dev" for name in GO_LIBRARIES))


class Missing(Exception):
    """Something that is needed is not there and could not be made. Says what, for a person."""


def prepare() -> dict[str, str]:
    """Make all that can be made; names of servers that must be left out, each with the reason.

    Raises Missing when there is nothing to measure with.
    """
    if not SERVICE_PYTHON.exists():
        raise Missing("the service has no environment yet: make run")
    WORK.mkdir(exist_ok=True)
    if not shutil.which("cc"):
        install("gcc", "libc6-dev")
    if not Path("/usr/include/zlib.h").exists():
        install("zlib1g-dev")
    compile_c("wsload", "z")
    compile_c("rawecho")
    left_out = {}
    try:
        make_peers_environment()
    except Missing as error:
        left_out |= dict.fromkeys(("stock", "websockets", "aiohttp", "picows"), str(error))
    try:
        build_go()
    except Missing as error:
        left_out["go"] = str(error)
    return left_out


def run(command: list[str], **options) -> None:
    """Run a command to its end. Raises Missing with what it said when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except FileNotFoundError:
        raise Missing(f"there is no {command[0]}") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Missing(f"{Path(command[0]).name} failed: {''.join(last)}")


def install(*packages: str) -> None:
    """Install Debian's packages, where that is possible. Raises Missing."""
    wanted = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(f"not installed: {wanted}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], env=environment)
    run(["apt-get", "install", "-y", *packages], env=environment)


def older(made: Path, source: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def compile_c(name: str, *libraries: str) -> None:
    binary, sources = WORK / name, sorted(BENCH.glob(f"{name}*.[ch]"))
    if any(older(binary, source) for source in sources):
        flags = [f"-l{library}" for library in libraries]
        run(["cc", "-O2", "-o", str(binary), str(BENCH / f"{name}.c"), *flags])


def make_peers_environment() -> None:
    """A virtual environment with exactly requirements.txt. Raises Missing."""
    wanted, installed = BENCH / "requirements.txt", WORK / "venv/requirements.txt"
    if installed.exists() and installed.read_text() == wanted.read_text():
        return
    run([str(SERVICE_PYTHON), "-m", "venv", "--clear", str(WORK / "venv")])
    pip = [str(PEERS_PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    run([*pip, "-r", str(wanted)])
    shutil.copyfile(wanted, installed)


def build_go() -> None:
    """The article's program, built with Debian's Go and gorilla packages. Raises Missing."""
    libraries = [GO_SOURCES / "src/github.com/gorilla" / name for name in GO_LIBRARIES]
    if not shutil.which("go") or not all(library.exists() for library in libraries):
        install(*GO_PACKAGES)
    source, binary = BENCH / "peers/gorilla/main.go", WORK / "gorilla"
    if older(binary, source):
        environment = os.environ | {
            "GOPATH": str(GO_SOURCES),
            "GO111MODULE": "off",
            "GOCACHE": str(WORK / "go-cache"),
        }
        run(["go", "build", "-o", str(binary), str(source)], env=environment)


def choose_cores() -> tuple[int, int]:
    """A core for the server and one for the load, not two threads of one. Raises Missing."""
    server, *others = sorted(os.sched_getaffinity(0))
    siblings = core_list(Path(f"/sys/devices/system/cpu/cpu{server}/topology/thread_siblings_list"))
    for core in others:
        if core not in siblings:
            return server, core
    raise Missing("two processor cores are needed, one for the server and one for the load")


def core_list(file: Path) -> set[int]:
    """The numbers in a list such as 0,4-5."""
    numbers = set()
    for part in file.read_text().split(",") if file.exists() else ():
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


def output(*command: str) -> str:
    """What a command prints; nothing when it cannot be run."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT
        ).stdout.strip()
    except FileNotFoundError:
        return ""


def package_versions(python: Path, *names: str) -> str:
    """Names and versions of packages in an environment, as one line."""
    code = (
        "import importlib.metadata, json, sys;"
        "print(json.dumps([f'{name} {importlib.metadata.version(name)}' for name in sys.argv[1:]]))"
    )
    printed = output(str(python), "-c", code, *names)
    return ", ".join(json.loads(printed)) if printed else "unknown"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def facts() -> dict[str, str]:
    """The machine, the versions and the date, each under its name for people."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    gibibytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    virtual = ", a virtual machine" if " hypervisor" in cpuinfo else ""
    python = output(str(SERVICE_PYTHON), "-c", "import platform; print(platform.python_version())")
    gorilla = output("dpkg-query", "-W", "-f", "${Version}", GO_PACKAGES[1])
    go = (output("go", "version").split() or ["", "", "unknown"])[2].removeprefix("go")
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Commit": output("git", "describe", "--always", "--dirty") or "unknown",
        "Processor": f"{processor()}, {os.cpu_count()} cores{virtual}",
        "Memory": f"{gibibytes:.0f} GiB",
        "Kernel": f"Linux {os.uname().release}",
        "Python": python,
        "This service": package_versions(
            SERVICE_PYTHON, "gevent", "gevent-websocket", "Flask", "websockets"
        ),
        "Go": f"{go}, gorilla/websocket {gorilla}" if gorilla else "not there",
        "Other servers": package_versions(
            PEERS_PYTHON,
            *("gevent", "gevent-websocket", "Flask", "websockets", "aiohttp", "picows", "uvloop"),
        ),
        "C compiler": output("cc", "--version").partition("\n")[0],
    }
