// CUDA's runtime on that driver. CuPy has NVIDIA's linked in, which asks a driver for tables that
// are not public; its functions are replaced by these (patch.py).
#include <stdlib.h>
#include <string.h>

#include "driver.h"

using namespace driver;

static void use_context() { has_context = true; }  // as NVIDIA's does at the first need

// Each function that there is no other for, with its name.
EXPORT int driver_function_is_missing(const char* name) {
  const Entry entry;
  state.missing.insert(name);
  return NOT_SUPPORTED;
}

EXPORT int cudaDriverGetVersion(int* version) {
  *version = 13000;
  return SUCCESS;
}

EXPORT int cudaRuntimeGetVersion(int* version) {
  *version = 13020;
  return SUCCESS;
}

EXPORT int cudaGetLastError() { return SUCCESS; }
EXPORT const char* cudaGetErrorName(int) { return "cudaError"; }
EXPORT const char* cudaGetErrorString(int) { return "as the driver of tests/driver says"; }

// ---- devices -----------------------------------------------------------------------------------

EXPORT int cuDeviceGetAttribute(int*, int, int);

EXPORT int cudaGetDeviceCount(int* count) {
  *count = DEVICES;
  return SUCCESS;
}

EXPORT int cudaGetDevice(int* number) {
  *number = device;
  return SUCCESS;
}

EXPORT int cudaSetDevice(int number) {
  if (number < 0 || number >= DEVICES) return INVALID_DEVICE;
  device = number;
  use_context();
  return SUCCESS;
}

EXPORT int cudaDeviceGetAttribute(int* value, int attribute, int number) {
  return cuDeviceGetAttribute(value, attribute, number);
}

// Of the struct only the name, which comes first.
EXPORT int cudaGetDeviceProperties(char* properties, int) {
  strcpy(properties, "a device that is none");
  return SUCCESS;
}

EXPORT int cudaDeviceSynchronize() {
  const Entry entry;
  use_context();
  return finish_device();
}

EXPORT int cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return SUCCESS;
}

// ---- memory ------------------------------------------------------------------------------------

EXPORT int cudaMalloc(void** pointer, size_t bytes) {
  const Entry entry;
  use_context();
  return (*pointer = allocate(bytes)) ? SUCCESS : OUT_OF_MEMORY;
}

EXPORT int cudaFree(void* pointer) {
  const Entry entry;
  use_context();
  return release(pointer);
}

EXPORT int cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  return (*pointer = malloc(bytes)) ? SUCCESS : OUT_OF_MEMORY;
}

EXPORT int cudaFreeHost(void* pointer) {
  free(pointer);
  return SUCCESS;
}

EXPORT int cudaMemGetInfo(size_t* room, size_t* all) {
  use_context();
  *room = *all = MEMORY;
  return SUCCESS;
}

EXPORT int cudaMemcpyAsync(void* to, const void* from, size_t bytes, int, void* stream) {
  const Entry entry;
  use_context();
  if (find_block(to) && find_block(from))
    return add(stream, [=] { return memcpy(to, from, bytes), int(SUCCESS); });
  // The host's memory may change when this returns: what is before in the stream comes first.
  const int failed = finish(stream);
  memcpy(to, from, bytes);
  return failed;
}

EXPORT int cudaMemcpy(void* to, const void* from, size_t bytes, int kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

EXPORT int cudaMemcpyPeer(void* to, int, const void* from, int, size_t bytes) {
  const Entry entry;
  use_context();
  const int before = device;
  for (device = 0; device < DEVICES; ++device) finish_device();
  device = before;
  memcpy(to, from, bytes);
  return state.failed;
}

EXPORT int cudaMemcpyPeerAsync(void* to, int a, const void* from, int b, size_t bytes, void*) {
  return cudaMemcpyPeer(to, a, from, b, bytes);
}

EXPORT int cudaMemsetAsync(void* to, int value, size_t bytes, void* stream) {
  const Entry entry;
  use_context();
  return add(stream, [=] { return memset(to, value, bytes), int(SUCCESS); });
}

EXPORT int cudaMemset(void* to, int value, size_t bytes) {
  return cudaMemsetAsync(to, value, bytes, nullptr);
}

struct PointerAttributes {
  int type, device;  // 0: memory that CUDA does not know, 2: a device's
  void *on_device, *on_host;
};

EXPORT int cudaPointerGetAttributes(PointerAttributes* found, const void* pointer) {
  const Entry entry;
  void* address = const_cast<void*>(pointer);
  if (const Block* block = find_block(pointer))
    *found = {2, block->device, address, nullptr};
  else
    *found = {0, -2, nullptr, address};
  return SUCCESS;
}

// ---- streams -----------------------------------------------------------------------------------

enum { NON_BLOCKING = 1 };

EXPORT int cudaStreamCreateWithFlags(void** stream, unsigned flags) {
  const Entry entry;
  use_context();
  *stream = new_stream(!(flags & NON_BLOCKING));
  return SUCCESS;
}

EXPORT int cudaStreamCreate(void** stream) { return cudaStreamCreateWithFlags(stream, 0); }

EXPORT int cudaStreamCreateWithPriority(void** stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}

EXPORT int cudaStreamDestroy(void* stream) {
  const Entry entry;
  const int failed = finish(stream);
  state.streams.erase(static_cast<Stream*>(stream));
  return failed;  // not deleted: an event may point to it, and its address must not come again
}

EXPORT int cudaStreamSynchronize(void* stream) {
  const Entry entry;
  use_context();
  return finish(stream);
}

EXPORT int cudaStreamQuery(void* stream) { return cudaStreamSynchronize(stream); }

EXPORT int cudaStreamGetFlags(void* stream, unsigned* flags) {
  *flags = is_default(stream) || static_cast<Stream*>(stream)->blocking ? 0 : NON_BLOCKING;
  return SUCCESS;
}

EXPORT int cudaStreamGetPriority(void*, int* priority) {
  *priority = 0;
  return SUCCESS;
}

// ---- events ------------------------------------------------------------------------------------

EXPORT int cudaEventCreateWithFlags(Event** event, unsigned) {
  use_context();
  *event = new Event;
  return SUCCESS;
}

EXPORT int cudaEventCreate(Event** event) { return cudaEventCreateWithFlags(event, 0); }

EXPORT int cudaEventDestroy(Event* event) {
  delete event;
  return SUCCESS;
}

EXPORT int cudaEventRecord(Event* event, void* stream) {
  const Entry entry;
  use_context();
  if (is_default(stream)) {  // all before is done
    *event = {};
    return finish(stream);
  }
  auto* found = static_cast<Stream*>(stream);
  *event = {found, found->issued};
  return SUCCESS;
}

EXPORT int cudaEventSynchronize(const Event* event) {
  const Entry entry;
  return finish_until(*event);
}

EXPORT int cudaEventQuery(const Event* event) { return cudaEventSynchronize(event); }

EXPORT int cudaEventElapsedTime(float* milliseconds, const Event*, const Event* last) {
  *milliseconds = 0.001f;
  return cudaEventSynchronize(last);
}

EXPORT int cudaStreamWaitEvent(void* stream, const Event* event, unsigned) {
  const Entry entry;
  const Event place = *event;
  return add(stream, [place] { return finish_until(place); });
}

// ---- graphs ------------------------------------------------------------------------------------

EXPORT int cudaStreamIsCapturing(void* stream, int* status) {
  *status = !is_default(stream) && static_cast<Stream*>(stream)->captured ? 1 : 0;
  return SUCCESS;
}

EXPORT int cudaStreamBeginCapture(void* stream, int) {
  const Entry entry;
  if (is_default(stream)) return refuse(INVALID_VALUE, "the default stream cannot be captured");
  static_cast<Stream*>(stream)->captured = new Graph;
  return SUCCESS;
}

EXPORT int cudaStreamEndCapture(void* stream, Graph** graph) {
  const Entry entry;
  *graph = static_cast<Stream*>(stream)->captured;
  static_cast<Stream*>(stream)->captured = nullptr;
  return *graph ? SUCCESS : INVALID_VALUE;
}

EXPORT int cudaGraphInstantiate(Graph** made, const Graph* graph, uint64_t) {
  *made = new Graph(*graph);
  return SUCCESS;
}

EXPORT int cudaGraphLaunch(const Graph* graph, void* stream) {
  const Entry entry;
  for (const Work& work : *graph)
    if (const int error = add(stream, work)) return error;
  return SUCCESS;
}

EXPORT int cudaGraphUpload(const Graph*, void*) { return SUCCESS; }

EXPORT int cudaGraphExecDestroy(Graph* graph) {
  delete graph;
  return SUCCESS;
}

EXPORT int cudaGraphDestroy(Graph* graph) { return cudaGraphExecDestroy(graph); }
