// The driver's own functions that CuPy asks for, under the names that libcuda.so.1 has.
#include <stdio.h>
#include <string.h>

#include <algorithm>

#include "driver.h"

using namespace driver;

EXPORT int cuInit(unsigned) { return SUCCESS; }

// NVIDIA's libraries ask for tables that are not public; NVRTC 13.0 goes on without.
EXPORT int cuGetExportTable(const void** table, const void*) {
  *table = nullptr;
  return NOT_FOUND;
}

EXPORT int cuDriverGetVersion(int* version) {
  *version = 13000;
  return SUCCESS;
}

EXPORT int cuDeviceGet(int* found, int number) {
  if (number < 0 || number >= DEVICES) return INVALID_DEVICE;
  *found = number;
  return SUCCESS;
}

EXPORT int cuDeviceGetName(char* name, int room, int) {
  snprintf(name, size_t(room), "a device that is none");
  return SUCCESS;
}

// An H100's, by the numbers of CUdevice_attribute.
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int number) {
  static const std::map<int, int> known = {
      {1, 1024},      {2, 1024},         {3, 1024},  {4, 64},         {5, 2147483647},
      {6, 65535},     {7, 65535},        {8, 49152}, {9, 65536},      {10, 32},
      {12, REGISTERS}, {13, 1980000},    {16, 132},  {38, 50 << 20},  {39, 2048},
      {41, 1},        {75, 9},           {76, 0},    {81, 228 << 10}, {82, REGISTERS},
      {97, MOST_SHARED}, {106, 32},      {111, 1024}};
  if (number < 0 || number >= DEVICES) return INVALID_DEVICE;
  const auto found = known.find(attribute);
  *value = found == known.end() ? 0 : found->second;
  return SUCCESS;
}

// ---- contexts: one a device, named by its number plus one --------------------------------------

EXPORT int cuCtxGetCurrent(uintptr_t* context) {
  *context = has_context ? uintptr_t(device + 1) : 0;
  return SUCCESS;
}

EXPORT int cuCtxSetCurrent(uintptr_t context) {
  has_context = context != 0;
  if (has_context) device = int(context - 1);
  return SUCCESS;
}

EXPORT int cuCtxGetDevice(int* found) {
  *found = device;
  return has_context ? SUCCESS : INVALID_CONTEXT;
}

EXPORT int cuDevicePrimaryCtxRetain(uintptr_t* context, int number) {
  *context = uintptr_t(number + 1);
  return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }

EXPORT int cuStreamGetCtx(void* stream, uintptr_t* context) {
  const int number = is_default(stream) ? device : static_cast<Stream*>(stream)->device;
  *context = uintptr_t(number + 1);
  return SUCCESS;
}

// ---- modules -----------------------------------------------------------------------------------

EXPORT int cuModuleLoadData(Module** module, const void* image) {
  const Entry entry;
  if (!has_context) return refuse(INVALID_CONTEXT, "a module is loaded without a context");
  auto* made = new Module{device, {}};
  *module = made;
  return read_cubin(image, *made) ? SUCCESS : refuse(INVALID_IMAGE, "the image is no cubin");
}

EXPORT int cuModuleUnload(Module*) { return SUCCESS; }  // functions may be in the queues

EXPORT int cuModuleGetFunction(Function** function, Module* module, const char* name) {
  const Entry entry;
  const auto found = module->functions.find(name);
  if (found == module->functions.end()) return NOT_FOUND;
  *function = &found->second;
  return SUCCESS;
}

enum { THREADS = 0, SHARED = 1, LOCAL = 3, REGISTERS_USED = 4, DYNAMIC = 8 };

EXPORT int cuFuncGetAttribute(int* value, int attribute, const Function* function) {
  switch (attribute) {
    case THREADS: *value = function->threads; break;
    case SHARED: *value = function->shared; break;
    case REGISTERS_USED: *value = function->registers; break;
    case DYNAMIC: *value = function->dynamic; break;
    default: *value = 0;
  }
  return SUCCESS;
}

EXPORT int cuFuncSetAttribute(Function* function, int attribute, int value) {
  const Entry entry;
  if (attribute != DYNAMIC) return SUCCESS;
  if (value < 0 || value + function->shared > MOST_SHARED)
    return refuse(INVALID_VALUE, function->name + ": a block has no so much shared memory");
  function->dynamic = value;
  return SUCCESS;
}

// ---- launches ----------------------------------------------------------------------------------

static int up(int value, int unit) { return (value + unit - 1) / unit * unit; }

// Why a device would refuse a launch, or null.
static const char* fault(const Function& function, const unsigned* grid, const unsigned* block,
                         unsigned shared, void* stream, Error& error) {
  const auto outside = [](unsigned size, unsigned most) { return size == 0 || size > most; };
  const uint64_t threads = uint64_t(block[0]) * block[1] * block[2];
  error = INVALID_VALUE;
  if (outside(grid[0], 2147483647) || outside(grid[1], 65535) || outside(grid[2], 65535))
    return "the grid is not from 1 to what a device has";
  if (outside(block[0], 1024) || outside(block[1], 1024) || outside(block[2], 64) || threads > 1024)
    return "the block is not from 1 to 1024 threads";
  if (shared > unsigned(function.dynamic)) return "more shared memory than was asked for";
  error = OUT_OF_RESOURCES;
  if (threads > uint64_t(function.threads)) return "more threads than __launch_bounds__";
  if (up(function.registers, 8) * up(int(threads), 32) > REGISTERS) return "too many registers";
  error = INVALID_HANDLE;
  if (function.device != device) return "the kernel is of another device";
  if (is_default(stream)) return nullptr;
  if (!state.streams.count(static_cast<Stream*>(stream))) return "there is no such stream";
  return static_cast<Stream*>(stream)->device == device ? nullptr
                                                        : "the stream is of another device";
}

EXPORT int cuLaunchKernel(const Function* function, unsigned grid_x, unsigned grid_y,
                          unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                          unsigned shared, void* stream, void** parameters, void**) {
  const Entry entry;
  if (state.failed) return state.failed;
  if (!has_context) return refuse(INVALID_CONTEXT, function->name + ": there is no context");
  const unsigned extents[] = {grid_x, grid_y, grid_z, block_x, block_y, block_z, shared};
  Error error;
  if (const char* why = fault(*function, extents, extents + 3, shared, stream, error))
    return refuse(error, function->name + ": " + why);
  if (!run) return SUCCESS;
  std::string bytes;  // taken now, as a device takes them
  for (const auto& [number, parameter] : function->parameters) {
    bytes.resize(std::max(bytes.size(), size_t(parameter.offset) + parameter.bytes));
    memcpy(&bytes[parameter.offset], parameters[number], parameter.bytes);
  }
  std::vector<unsigned> kept(extents, extents + 7);
  return add(stream, [function, kept, bytes] {
    const int failed =
        run(function->name.c_str(), function->device, kept.data(), bytes.data(), bytes.size());
    return failed ? int(LAUNCH_FAILED) : int(SUCCESS);
  });
}

EXPORT int cuGetErrorName(int, const char** text) {
  *text = "CUDA_ERROR";
  return SUCCESS;
}

EXPORT int cuGetErrorString(int, const char** text) {
  *text = "as the driver of tests/driver says";
  return SUCCESS;
}
