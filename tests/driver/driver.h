// A driver of CUDA without a device: host memory is device memory, kernels are run by a function
// that a test gives, and launches that a device would refuse are refused.
//
// Work on a stream waits until somebody asks for it, so what is read too early is NaN.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace driver {

// Numbers of CUresult, which are those of cudaError_t.
enum Error : int {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  OUT_OF_RESOURCES = 701,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801,
};

constexpr int DEVICES = 2;
constexpr int REGISTERS = 65536;              // of a multiprocessor, and of a block
constexpr int DEFAULT_SHARED = 48 << 10;      // bytes that a block has without asking
constexpr int MOST_SHARED = 227 << 10;        // on compute capability 9.0
constexpr size_t MEMORY = size_t(80) << 30;

struct Parameter {
  unsigned offset, bytes;
};

// A kernel of a cubin, loaded on a device.
struct Function {
  std::string name;
  int device = 0;
  int registers = 0, shared = 0, threads = 1024;
  std::map<unsigned, Parameter> parameters;  // by number
  int dynamic = DEFAULT_SHARED;  // bytes of dynamic shared memory that a launch may ask for
};

struct Module {
  int device;
  std::map<std::string, Function> functions;
};

// The kernels of a cubin; false: it is none.
bool read_cubin(const void* image, Module& module);

using Work = std::function<int()>;
using Graph = std::vector<Work>;

struct Stream {
  int device;
  bool blocking;  // waits for the default stream, and that one for it
  std::deque<Work> work;
  uint64_t issued = 0, done = 0;
  Graph* captured = nullptr;
};

// A place in a stream.
struct Event {
  Stream* stream = nullptr;
  uint64_t position = 0;
};

struct Block {
  size_t bytes;
  int device;
};

struct Driver {
  std::recursive_mutex lock;
  std::map<uintptr_t, Block> blocks;  // by the end of each
  std::set<Stream*> streams;
  std::vector<std::string> faults;  // launches that were refused, and why
  std::set<std::string> missing;    // functions that were asked for and are not there
  int failed = SUCCESS;             // a kernel that failed: every later call says so
};
extern Driver state;

// The device of the calling thread, and whether it has a context.
extern thread_local int device;
extern thread_local bool has_context;

// While one lives, its thread alone is in the driver; it lets other threads of Python go on.
class Entry {
 public:
  Entry();
  ~Entry();

 private:
  void* interpreter_;
};

// The kernel of a launch: its name, grid, block and bytes of shared memory, and its parameters as
// they lie in the device's memory.
using Run = int (*)(const char* name, int device, const unsigned* extents, const void* parameters,
                    size_t bytes);
extern Run run;

int refuse(Error error, const std::string& why);
void* allocate(size_t bytes);
int release(void* pointer);
const Block* find_block(const void* pointer);

bool is_default(const void* stream);
int add(void* stream, Work work);  // work to a stream; on the default one it is done at once
int finish(void* stream);
int finish_until(const Event& event);
int finish_device();
Stream* new_stream(bool blocking);

}  // namespace driver

#define EXPORT extern "C" __attribute__((visibility("default")))
