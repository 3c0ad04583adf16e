"""Find a GPU from inside a build's sandbox, run a kernel on it, and write down what it is; fail loudly otherwise.

The kernel is PTX text that the driver itself compiles, so nothing but the driver is needed: no toolkit, no torch.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

DRIVER = "/run/opengl-driver"
COUNT = 1 << 16
# data[i] = data[i] * 3 + 1 for i < n
KERNEL = b"""
.version 6.0
.target sm_60
.address_size 64
.visible .entry probe(.param .u64 data, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<9>;
  .reg .b64 %d<5>;
  ld.param.u64 %d1, [data];
  ld.param.u32 %r1, [n];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.u32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra done;
  cvta.to.global.u64 %d2, %d1;
  mul.wide.u32 %d3, %r5, 4;
  add.u64 %d4, %d2, %d3;
  ld.global.u32 %r6, [%d4];
  mul.lo.u32 %r7, %r6, 3;
  add.u32 %r8, %r7, 1;
  st.global.u32 [%d4], %r8;
done:
  ret;
}
"""


def fail(sentence: str) -> None:
    """End the build with one sentence."""
    sys.exit(f"reelgraph: gpu-check: {sentence}")


def load_driver() -> ctypes.CDLL:
    """Load libcuda from the driver's folder."""
    if not os.path.isdir(DRIVER):
        fail(f"no GPU: {DRIVER} is not in the sandbox; put it and /dev/nvidia* into the builder's extra-sandbox-paths")
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        fail(f"no GPU: the driver's libcuda.so.1 cannot be loaded from {DRIVER}/lib ({error})")
        raise


class Driver:
    """CUDA's driver interface, as far as a check needs it."""

    def __init__(self) -> None:
        self._library = load_driver()
        self.call("cuInit", ctypes.c_uint(0))

    def call(self, function: str, *arguments: object) -> None:
        """Call a function; end the build if it does not succeed."""
        status = getattr(self._library, function)(*arguments)
        if status:
            name = ctypes.c_char_p()
            self._library.cuGetErrorName(status, ctypes.byref(name))
            devices = ", ".join(sorted(str(path) for path in Path("/dev").glob("nvidia*"))) or "none"
            error = name.value.decode() if name.value else str(status)
            fail(f"no GPU: {function} says {error}; devices in the sandbox: {devices}")

    def number(self, function: str, *arguments: object) -> int:
        """Return the number that a function gives through its first argument."""
        value = ctypes.c_int()
        self.call(function, ctypes.byref(value), *arguments)
        return value.value


def describe(driver: Driver, device: int) -> dict[str, object]:
    """Return what the driver says of one card."""
    name, uuid, memory = ctypes.create_string_buffer(128), (ctypes.c_ubyte * 16)(), ctypes.c_size_t()
    driver.call("cuDeviceGetName", name, len(name), device)
    driver.call("cuDeviceGetUuid", ctypes.byref(uuid), device)
    driver.call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    digits = bytes(uuid).hex()
    major, minor = (driver.number("cuDeviceGetAttribute", attribute, device) for attribute in (75, 76))
    return {
        "name": name.value.decode(),
        "uuid": "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])),
        "compute_capability": f"{major}.{minor}",
        "memory_bytes": memory.value,
    }


def run_kernel(driver: Driver, device: int) -> None:
    """Compute on the card and compare every number."""
    context, module, function, data = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
    driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    driver.call("cuCtxSetCurrent", context)
    driver.call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(KERNEL))
    driver.call("cuModuleGetFunction", ctypes.byref(function), module, ctypes.c_char_p(b"probe"))
    numbers = (ctypes.c_uint32 * COUNT)(*range(COUNT))
    size = ctypes.c_size_t(ctypes.sizeof(numbers))
    driver.call("cuMemAlloc_v2", ctypes.byref(data), size)
    driver.call("cuMemcpyHtoD_v2", data, numbers, size)
    count = ctypes.c_uint32(COUNT)
    arguments = (ctypes.c_void_p * 2)(ctypes.addressof(data), ctypes.addressof(count))
    driver.call("cuLaunchKernel", function, COUNT // 256, 1, 1, 256, 1, 1, 0, None, arguments, None)
    driver.call("cuMemcpyDtoH_v2", numbers, data, size)
    driver.call("cuMemFree_v2", data)
    wrong = sum(1 for index, number in enumerate(numbers) if number != index * 3 + 1)
    if wrong:
        fail(f"card {device} computed {wrong} of {COUNT} numbers wrong")


def main() -> None:
    """Check every card."""
    driver, variables = Driver(), dict(os.environ)
    count = driver.number("cuDeviceGetCount")
    if count < 1:
        fail("no GPU: the driver is there and sees no card")
    gpus = []
    for device in range(count):
        run_kernel(driver, device)
        gpus.append(describe(driver, device))
    kernel_module = Path("/proc/driver/nvidia/version")
    result = {
        "nonce": variables["nonce"],
        "gpus": gpus,
        "cuda_driver": driver.number("cuDriverGetVersion"),
        "kernel_module": kernel_module.read_text().splitlines()[0] if kernel_module.exists() else None,
    }
    Path(variables["out"]).write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(f"gpu-check: {', '.join(str(gpu['name']) for gpu in gpus)}: computed {COUNT} numbers on each", flush=True)


if __name__ == "__main__":
    main()
