"""Fresh processes without the wait: a server that has imported the heavy libraries forks for each script.

conftest.py starts it once for all workers; it imports nothing before it is first asked. A script gets its own
environment, arguments, folder and output, another order of hashes (PYTHONHASHSEED), and modules that no test touched.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = "HF_IMGCLS_TESTS_FRESH"
SECONDS = 600
# In the first, libraries that do not read the Hugging Face environment; each goes on from the one before.
LAYERS = {
    "libraries": ["numpy", "torch", "torch._dynamo", "torchvision", "pandas", "scipy.stats", "PIL.Image"],
    "transformers": ["transformers.pipelines"],
    "package": [
        "datasets",
        "evaluate",
        "torch.distributed.run",
        "accelerate.commands.launch",
        "hf_imgcls.api",
        "hf_imgcls.reports.plots.gallery",
        "hf_imgcls.reports.plots.confusion",
        "hf_imgcls.reports.plots.curves",
        "ipykernel.kernelapp",
        "optuna.storages",
    ],
}


def run_fresh(
    code: str, *arguments: str, layer: str = "libraries", environment: dict | None = None, folder=ROOT
) -> subprocess.CompletedProcess:
    """Run code as `python -c` does, in a process that has imported a layer's modules and nothing else of ours.

    Variables that are None are left out of the environment. What the Hugging Face libraries read when they are
    imported can be changed for the layer "libraries" alone, and what `datasets` reads for "transformers" too.
    """
    variables = {**os.environ, **(environment or {})}
    variables = {name: value for name, value in variables.items() if value is not None}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull) as nothing:
        files = [file.fileno() for file in (nothing, out, err)]
        status = _ask(layer, code, ["-c", *arguments], variables, str(folder), files)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(code, status, out.read().decode(), err.read().decode())


def _ask(layer: str, code: str, arguments: list[str], environment: dict, folder: str, files: list[int]) -> int:
    """Have code run with these standard files; returns its exit status."""
    request = {"code": code, "arguments": arguments, "environment": environment, "folder": folder}
    with tempfile.TemporaryFile() as asked, socket.socket(socket.AF_UNIX) as server:
        asked.write(json.dumps(request).encode())
        asked.seek(0)
        server.connect(os.path.join(os.environ[PLACE], layer))
        socket.send_fds(server, [b"!"], [*files, asked.fileno()])
        return int(server.recv(16))


def write_kernel(folder: Path) -> None:
    """In a folder of JUPYTER_PATH: the kernel of notebooks, as a fresh process that has imported the package."""
    (folder / "kernels" / "python3").mkdir(parents=True)
    spec = {"argv": [sys.executable, __file__, "kernel", "{connection_file}"], "display_name": "", "language": "python"}
    (folder / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))


def start_server(place: str) -> subprocess.Popen:
    """Listen in a folder, until the process that asked for it ends."""
    os.environ[PLACE] = place
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    server = subprocess.Popen([sys.executable, __file__, place], env=environment, stdin=subprocess.PIPE)
    while not all(os.path.exists(os.path.join(place, layer)) for layer in LAYERS):
        assert server.poll() is None, "the server of fresh processes did not start"
    return server


def _listen(place: str) -> list[tuple[socket.socket, list[str]]]:
    doors = []
    for layer, modules in LAYERS.items():
        door = socket.socket(socket.AF_UNIX)
        door.bind(os.path.join(place, f"{layer}.new"))
        door.listen()
        os.rename(os.path.join(place, f"{layer}.new"), os.path.join(place, layer))
        doors.append((door, modules))
    return doors


def _serve(doors: list[tuple[socket.socket, list[str]]]) -> None:
    """Serve the first door; who knocks at the next one is served by a fork that imports more."""
    (door, modules), *deeper = doors
    while True:
        ready = select.select([0, door, *(other for other, _ in deeper)], [], [])[0]
        if 0 in ready:  # whoever started this has ended
            os._exit(0)
        for module in modules:
            import_module(module)
        gc.freeze()  # a fork that collects copies every page
        if door not in ready:
            if os.fork() == 0:
                return _serve(deeper)
            deeper = []
            continue
        connection = door.accept()[0]
        if os.fork() == 0:
            return _answer(connection)
        connection.close()


def _answer(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, *_ = socket.recv_fds(connection, 1, 4)
    job = os.fork()
    if job == 0:
        return _run(files)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # who asked has been killed
        connection.sendall(str(status).encode())
    os._exit(0)


def _run(files: list[int]) -> None:
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    with open(files[3]) as file:
        request = json.load(file)
    signal.alarm(SECONDS)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv, status = request["arguments"], 0
    try:
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    end(status)


def end(status: int) -> None:
    """End this process without taking every imported module apart, which takes seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.__stdout__.flush()  # a kernel has replaced the others
    sys.__stderr__.flush()
    os._exit(status)


def run_file(file: str, *arguments: str) -> None:
    """As `python FILE ARGUMENTS` does."""
    sys.argv = [file, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    runpy.run_path(file, run_name="__main__")


KERNEL = """
import sys
sys.path[0] = ""  # the folder of the notebook, as a kernel has it
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.argv[1] == "kernel":
        arguments = ["ipykernel", "-f", sys.argv[2]]
        sys.exit(_ask("package", KERNEL, arguments, dict(os.environ), os.getcwd(), [0, 1, 2]))
    sys.path.insert(0, str(ROOT))
    sys.modules["pytorch_grad_cam"] = None  # as in conftest.py
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _serve(_listen(sys.argv[1]))
