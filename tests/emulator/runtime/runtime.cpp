// Runs CUDA C++ kernels on the CPU, a fiber for each CUDA thread, one block after another.
#include "block.h"
#include "undefined.h"

namespace emulator {

// Threads that ThreadSanitizer tells apart; each costs it a millisecond. Blocks beyond them use the
// same ones again.
constexpr size_t AGENTS = 512;

void check_launch_bounds(Site site, unsigned threads, unsigned, unsigned) {
  const size_t size = engine.threads.size();
  if (size > threads)
    fail(site, "__launch_bounds__ allows %u threads a block; got %zu", threads, size);
}

namespace {

void name_the_thread(const char*) {
  if (engine.running)
    fprintf(stderr, "In block %s thread %s.\n", Triple(blockIdx).text,
            Triple(engine.running->index).text);
}

// Agents for as many blocks as there are enough for, at least two. They are kept.
size_t prepare_agents(size_t blocks, size_t threads) {
  engine.main_agent = Agent::current();
  size_t sets = AGENTS / threads;
  if (sets < 2) sets = 2;
  if (sets > blocks) sets = blocks;
  if (RACES)
    while (engine.agents.size() < sets * threads) engine.agents.push_back(Agent::create());
  return sets;
}

}  // namespace

int launch(const Launch& launch, void (*kernel)(void**), void** arguments, char* error,
           size_t room) {
  gridDim = {launch.grid[0], launch.grid[1], launch.grid[2]};
  blockDim = {launch.block[0], launch.block[1], launch.block[2]};
  const size_t threads = size_t{blockDim.x} * blockDim.y * blockDim.z;
  const size_t all = size_t{gridDim.x} * gridDim.y * gridDim.z;
  const size_t blocks = all > launch.first ? all - launch.first : 0;
  engine.launch = &launch;
  engine.kernel = kernel;
  engine.arguments = arguments;
  engine.random = launch.seed;
  engine.error[0] = 0;
  when_reported(name_the_thread);
  engine.threads.assign(threads, Thread());
  engine.warps.assign((threads + 31) / 32, Warp());
  engine.agent_sets = prepare_agents(blocks, threads);

  std::vector<uint32_t> order;
  arrange(order, blocks);
  for (size_t number = 0; number < blocks && !engine.error[0]; ++number) {
    const unsigned index = unsigned(launch.first) + order[number];
    blockIdx = {index % gridDim.x, index / gridDim.x % gridDim.y, index / gridDim.x / gridDim.y};
    run_block(number);
  }
  Agent::acquire(&engine.finished);
  snprintf(error, room, "%s", engine.error);
  return engine.error[0] != 0;
}

}  // namespace emulator
