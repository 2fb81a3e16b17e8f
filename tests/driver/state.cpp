// Memory, streams, and the lock of the driver.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

namespace driver {

Driver state;
Run run;
thread_local int device;
thread_local bool has_context;

// ---- threads -----------------------------------------------------------------------------------

template <class Type>
Type of_python(const char* name) {
  return reinterpret_cast<Type>(dlsym(RTLD_DEFAULT, name));
}

Entry::Entry() : interpreter_(nullptr) {
  static const auto holds = of_python<int (*)()>("PyGILState_Check");
  static const auto save = of_python<void* (*)()>("PyEval_SaveThread");
  // A kernel runs in Python: who waits for the lock must not hold the interpreter.
  if (!state.lock.try_lock()) {
    if (holds && holds()) interpreter_ = save();
    state.lock.lock();
  }
}

Entry::~Entry() {
  static const auto restore = of_python<void (*)(void*)>("PyEval_RestoreThread");
  state.lock.unlock();
  if (interpreter_) restore(interpreter_);
}

int refuse(Error error, const std::string& why) {
  state.faults.push_back(why);
  return error;
}

// ---- memory ------------------------------------------------------------------------------------

void* allocate(size_t bytes) {
  void* pointer = nullptr;
  if (bytes > MEMORY || posix_memalign(&pointer, 512, bytes ? bytes : 512)) return nullptr;
  memset(pointer, 0xff, bytes);  // NaN
  state.blocks[reinterpret_cast<uintptr_t>(pointer) + (bytes ? bytes : 1)] = {bytes, device};
  return pointer;
}

int release(void* pointer) {
  if (!pointer) return SUCCESS;
  const auto place = state.blocks.upper_bound(reinterpret_cast<uintptr_t>(pointer));
  if (place == state.blocks.end()) return refuse(INVALID_VALUE, "memory is freed that is not ours");
  finish_device();
  memset(pointer, 0xff, place->second.bytes);
  free(pointer);
  state.blocks.erase(place);
  return SUCCESS;
}

// The allocation that an address is in; null: the host's memory.
const Block* find_block(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  const auto place = state.blocks.upper_bound(address);
  if (place == state.blocks.end()) return nullptr;
  const size_t bytes = place->second.bytes ? place->second.bytes : 1;
  return address >= place->first - bytes ? &place->second : nullptr;
}

// ---- streams -----------------------------------------------------------------------------------

// The legacy default stream; that of each thread is taken for the same.
bool is_default(const void* stream) { return reinterpret_cast<uintptr_t>(stream) <= 2; }

Stream* new_stream(bool blocking) {
  auto* stream = new Stream{device, blocking, {}, 0, 0, nullptr};
  state.streams.insert(stream);
  return stream;
}

static int finish_until(Stream* stream, uint64_t position) {
  while (stream->done < position && !stream->work.empty()) {
    const Work work = std::move(stream->work.front());
    stream->work.pop_front();
    ++stream->done;
    if (const int error = work()) state.failed = error;
  }
  return state.failed;
}

int finish_until(const Event& event) {
  if (!event.stream || !state.streams.count(event.stream)) return state.failed;
  return finish_until(event.stream, event.position);
}

int finish_device() {
  for (Stream* stream : std::set<Stream*>(state.streams))
    if (stream->device == device) finish_until(stream, stream->issued);
  return state.failed;
}

static int finish_blocking() {
  for (Stream* stream : std::set<Stream*>(state.streams))
    if (stream->device == device && stream->blocking) finish_until(stream, stream->issued);
  return state.failed;
}

int finish(void* handle) {
  if (is_default(handle)) return finish_blocking();
  auto* stream = static_cast<Stream*>(handle);
  if (!state.streams.count(stream)) return refuse(INVALID_HANDLE, "there is no such stream");
  return finish_until(stream, stream->issued);
}

int add(void* handle, Work work) {
  if (is_default(handle)) {
    if (const int error = finish_blocking()) return error;
    return state.failed = work();
  }
  auto* stream = static_cast<Stream*>(handle);
  if (!state.streams.count(stream)) return refuse(INVALID_HANDLE, "there is no such stream");
  if (stream->captured) {
    stream->captured->push_back(std::move(work));
    return SUCCESS;
  }
  stream->work.push_back(std::move(work));
  ++stream->issued;
  return state.failed;
}

}  // namespace driver

// ---- for tests ---------------------------------------------------------------------------------

EXPORT void driver_run_with(driver::Run run) { driver::run = run; }

static char* copy(const std::string& text, char* room, size_t bytes) {
  strncpy(room, text.c_str(), bytes - 1);
  return room;
}

// Take what went wrong, a line each.
EXPORT char* driver_faults(char* room, size_t bytes) {
  const driver::Entry entry;
  std::string text;
  for (const auto& fault : driver::state.faults) text += fault + "\n";
  driver::state.faults.clear();
  driver::state.failed = 0;
  return copy(text, room, bytes);
}

// Functions that somebody asked for and that are not there, a line each.
EXPORT char* driver_missing(char* room, size_t bytes) {
  const driver::Entry entry;
  std::string text;
  for (const auto& name : driver::state.missing) text += name + "\n";
  return copy(text, room, bytes);
}
