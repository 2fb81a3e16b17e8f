// The kernels of a cubin, an ELF file, and what each takes of a multiprocessor.
#include <elf.h>
#include <string.h>

#include "driver.h"

namespace driver {

// Attributes of .nv.info: a byte for the form, one for the attribute, two for a value or a size.
enum { VALUE_FOLLOWS = 4 };
enum { MOST_THREADS = 0x05, PARAMETER = 0x17, REGISTER_COUNT = 0x2f };

constexpr int RESERVED = 1024;  // bytes of shared memory, the system's, from capability 8.0 on

struct Cubin {
  const char* base;
  const Elf64_Shdr* sections;
  const char* names;

  explicit Cubin(const void* image) : base(static_cast<const char*>(image)) {
    const auto& head = *reinterpret_cast<const Elf64_Ehdr*>(base);
    sections = reinterpret_cast<const Elf64_Shdr*>(base + head.e_shoff);
    names = base + sections[head.e_shstrndx].sh_offset;
  }
  int count() const { return reinterpret_cast<const Elf64_Ehdr*>(base)->e_shnum; }
  const char* name(int i) const { return names + sections[i].sh_name; }
  const char* data(int i) const { return base + sections[i].sh_offset; }
};

static uint32_t word(const char* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

// Call take(attribute, data, bytes) for all attributes of a section.
template <class Take>
static void for_attributes(const Cubin& cubin, int section, Take take) {
  const char* at = cubin.data(section);
  const char* end = at + cubin.sections[section].sh_size;
  while (at + 4 <= end) {
    const unsigned head = word(at), form = head & 255, value = head >> 16;
    const size_t bytes = form == VALUE_FOLLOWS ? value : 0;
    take(head >> 8 & 255, at + 4, bytes);
    at += 4 + bytes;
  }
}

static const char* after(const char* name, const char* prefix) {
  const size_t size = strlen(prefix);
  return strncmp(name, prefix, size) ? nullptr : name + size;
}

static std::string symbol(const Cubin& cubin, uint32_t index) {
  for (int i = 0; i < cubin.count(); ++i) {
    const auto& section = cubin.sections[i];
    if (section.sh_type != SHT_SYMTAB) continue;
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(cubin.data(i));
    if (index < section.sh_size / sizeof *symbols)
      return cubin.data(int(section.sh_link)) + symbols[index].st_name;
  }
  return "";
}

bool read_cubin(const void* image, Module& module) {
  if (memcmp(image, ELFMAG, SELFMAG)) return false;
  const Cubin cubin(image);
  for (int i = 0; i < cubin.count(); ++i)
    if (const char* name = after(cubin.name(i), ".text.")) {
      Function& function = module.functions[name];
      function.name = name;
      function.device = module.device;
      function.registers = int(cubin.sections[i].sh_info >> 24);
    }
  for (int i = 0; i < cubin.count(); ++i) {
    if (const char* name = after(cubin.name(i), ".nv.shared.")) {
      const auto found = module.functions.find(name);
      if (found != module.functions.end())
        found->second.shared = int(cubin.sections[i].sh_size) - RESERVED;
    } else if (const char* name = after(cubin.name(i), ".nv.info.")) {
      Function& function = module.functions[name];
      for_attributes(cubin, i, [&](unsigned what, const char* data, size_t bytes) {
        // Words: index; number and offset; flags with the size above bit 18.
        if (what == PARAMETER && bytes >= 12)
          function.parameters[word(data + 4) & 0xffff] = {word(data + 4) >> 16, word(data + 8) >> 18};
        if (what == MOST_THREADS && bytes >= 12)
          function.threads = int(word(data) * word(data + 4) * word(data + 8));
      });
    } else if (!strcmp(cubin.name(i), ".nv.info")) {
      for_attributes(cubin, i, [&](unsigned what, const char* data, size_t bytes) {
        if (what != REGISTER_COUNT || bytes < 8) return;
        const auto found = module.functions.find(symbol(cubin, word(data)));
        if (found != module.functions.end()) found->second.registers = int(word(data + 4));
      });
    }
  }
  for (auto& [_, function] : module.functions) function.dynamic = DEFAULT_SHARED - function.shared;
  return true;
}

}  // namespace driver
