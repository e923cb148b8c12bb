#include "tests/unit/rank_checkpoint/program.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cstring>
#include <mutex>
#include <random>
#include <set>

namespace muster::rank {
namespace {

uint64_t BytesOf(muster_dtype dtype) {
  switch (dtype) {
    case MUSTER_DTYPE_F64:
    case MUSTER_DTYPE_I64:
      return 8;
    case MUSTER_DTYPE_F32:
    case MUSTER_DTYPE_I32:
      return 4;
    case MUSTER_DTYPE_BF16:
    case MUSTER_DTYPE_F16:
      return 2;
    case MUSTER_DTYPE_U8:
      return 1;
  }
  return 0;
}

uint64_t Mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

uint64_t ElementsOf(const ProgramPart& part) {
  uint64_t count = 1;
  for (const uint64_t side : part.extent) count *= side;
  return count;
}

// The place in the whole array of the part's i-th element.
uint64_t PlaceOf(const ProgramArray& array, const ProgramPart& part, uint64_t i) {
  uint64_t place = 0;
  uint64_t stride = 1;
  for (size_t axis = part.extent.size(); axis-- > 0;) {
    place += (part.offset[axis] + i % part.extent[axis]) * stride;
    i /= part.extent[axis];
    stride *= array.shape[axis];
  }
  return place;
}

uint64_t ValueAt(const ProgramArray& array, uint64_t step, uint64_t place) {
  uint64_t name = 0;
  for (const char c : array.name) name = name * 131 + static_cast<unsigned char>(c);
  return Mixed(name + Mixed(place + Mixed(step)));
}

ProgramPart WholeOf(const std::vector<ProgramArray>& arrays, size_t array) {
  ProgramPart part;
  part.array = array;
  part.offset.assign(arrays[array].shape.size(), 0);
  part.extent = arrays[array].shape;
  return part;
}

// Consecutive parts of one axis, some of them empty.
void Split(const ProgramPart& whole, size_t axis, std::mt19937_64& random, ProgramLayout* layout) {
  const uint64_t side = whole.extent[axis];
  std::multiset<uint64_t> cuts = {side};
  for (size_t r = 1; r < layout->size(); ++r) cuts.insert(random() % (side + 1));
  uint64_t begin = 0;
  auto cut = cuts.begin();
  for (auto& of_rank : *layout) {
    ProgramPart part = whole;
    part.offset[axis] = begin;
    part.extent[axis] = *cut - begin;
    begin = *cut++;
    if (ElementsOf(part) > 0) of_rank.push_back(std::move(part));
  }
}

}  // namespace

std::vector<ProgramArray> RandomArrays(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<ProgramArray> arrays;
  const uint64_t count = 1 + random() % 6;
  for (uint64_t i = 0; i < count; ++i) {
    ProgramArray array;
    array.name = fmt::format("array-{}.{}", seed, i);
    array.dtype = static_cast<muster_dtype>(MUSTER_DTYPE_F64 + random() % 7);
    const uint64_t axes = random() % 4;
    for (uint64_t axis = 0; axis < axes; ++axis) array.shape.push_back(1 + random() % 19);
    if (axes > 0 && random() % 10 == 0) array.shape[0] = 0;
    arrays.push_back(std::move(array));
  }
  return arrays;
}

ProgramLayout RandomLayout(const std::vector<ProgramArray>& arrays, int ranks, uint64_t seed) {
  std::mt19937_64 random(seed * 77 + static_cast<uint64_t>(ranks));
  ProgramLayout layout(static_cast<size_t>(ranks));
  for (size_t a = 0; a < arrays.size(); ++a) {
    const ProgramPart whole = WholeOf(arrays, a);
    const uint64_t way = random() % 4;
    const size_t some = random() % layout.size();
    if (arrays[a].shape.empty() || ElementsOf(whole) == 0 || way == 0) {
      for (auto& of_rank : layout) of_rank.push_back(whole);
    } else if (way == 1) {
      layout[some].push_back(whole);
      layout[some].back().writer = MUSTER_WRITER_THIS;
    } else {
      Split(whole, random() % whole.extent.size(), random, &layout);
      // And somebody who wants all of it.
      if (way == 3 && layout.size() > 1) {
        ProgramPart wanted = whole;
        wanted.writer = MUSTER_WRITER_OTHER;
        bool there = false;
        for (const ProgramPart& part : layout[some]) {
          there = there || (part.array == a && part.extent == whole.extent);
        }
        if (!there) layout[some].push_back(std::move(wanted));
      }
    }
  }
  return layout;
}

void FillPart(const ProgramArray& array, uint64_t step, ProgramPart* part) {
  const uint64_t bytes = BytesOf(array.dtype);
  part->data.resize(ElementsOf(*part) * bytes);
  for (uint64_t i = 0; i < ElementsOf(*part); ++i) {
    const uint64_t value = ValueAt(array, step, PlaceOf(array, *part, i));
    std::memcpy(part->data.data() + i * bytes, &value, bytes);
  }
}

std::string WrongIn(const ProgramArray& array, uint64_t step, const ProgramPart& part) {
  const uint64_t bytes = BytesOf(array.dtype);
  for (uint64_t i = 0; i < ElementsOf(part); ++i) {
    const uint64_t value = ValueAt(array, step, PlaceOf(array, part, i));
    if (std::memcmp(part.data.data() + i * bytes, &value, bytes) != 0) {
      return fmt::format("{}: element {} is not that of step {}", array.name, i, step);
    }
  }
  return "";
}

std::string RunProgram(Program& program,
                       const std::function<std::string(muster_checkpoint*, ThreadGroup&)>& rank) {
  std::mutex mutex;
  std::string words;
  const auto say = [&](int r, const std::string& what) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!what.empty() && words.empty()) words = fmt::format("rank {}: {}", r, what);
  };
  OnThreads(program.ranks(), [&](ThreadGroup& end) {
    const muster_checkpoint_group given = end.Given();
    const int r = end.group->rank();
    muster_checkpoint* c = nullptr;
    if (muster_checkpoint_open(&c, nullptr, &given) != 0) {
      return say(r, std::string("open: ") + muster_checkpoint_error(nullptr));
    }
    for (ProgramPart& part : program.layout[static_cast<size_t>(r)]) {
      const ProgramArray& array = program.arrays[part.array];
      FillPart(array, 0, &part);
      muster_checkpoint_region region = {};
      region.name = array.name.c_str();
      region.dtype = array.dtype;
      region.axes = static_cast<uint32_t>(array.shape.size());
      region.shape = array.shape.data();
      region.offset = part.offset.data();
      region.extent = part.extent.data();
      region.data = part.data.data();
      region.writer = part.writer;
      if (muster_checkpoint_add(c, &region) != 0) {
        say(r, std::string("add: ") + muster_checkpoint_error(c));
      }
    }
    say(r, rank(c, end));
    muster_checkpoint_close(c);
  });
  return words;
}

ProgramEnvironment::ProgramEnvironment(std::map<std::string, std::string> variables) {
  for (const auto& [name, value] : variables) Set(name, value);
}

ProgramEnvironment::~ProgramEnvironment() {
  for (const auto& [name, value] : variables_) unsetenv(name.c_str());
}

void ProgramEnvironment::Set(const std::string& name, const std::string& value) {
  variables_[name] = value;
  setenv(name.c_str(), value.c_str(), 1);
}

}  // namespace muster::rank
