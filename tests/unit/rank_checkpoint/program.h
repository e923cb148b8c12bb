// A program as its authors would write it, on threads: arrays with known contents, divided over the
// ranks at random, through rank/muster_checkpoint.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "rank/muster_checkpoint.h"
#include "tests/unit/rank_checkpoint/thread_group.h"

namespace muster::rank {

// One array of the state, whole.
struct ProgramArray {
  std::string name;
  muster_dtype dtype = MUSTER_DTYPE_F32;
  std::vector<uint64_t> shape;
};

// A part of one that a rank has.
struct ProgramPart {
  size_t array = 0;
  std::vector<uint64_t> offset;
  std::vector<uint64_t> extent;
  muster_writer writer = MUSTER_WRITER_ANY;
  std::vector<std::byte> data = {};
};

using ProgramLayout = std::vector<std::vector<ProgramPart>>;  // by rank

struct Program {
  std::vector<ProgramArray> arrays;
  ProgramLayout layout;

  int ranks() const { return static_cast<int>(layout.size()); }
};

// Arrays of odd sizes and every dtype; scalars, empty ones.
std::vector<ProgramArray> RandomArrays(uint64_t seed);
// Rows, columns or blocks of each over some of the ranks, or the same on all of them; some ranks
// have more than they write.
ProgramLayout RandomLayout(const std::vector<ProgramArray>& arrays, int ranks, uint64_t seed);

// What the state is after a step, element by element; whoever has it.
void FillPart(const ProgramArray& array, uint64_t step, ProgramPart* part);
// The first element that is another; "" = none.
std::string WrongIn(const ProgramArray& array, uint64_t step, const ProgramPart& part);

// Opens, adds everything, and gives the handle to `rank`; what it returns is what went wrong. Each
// rank's words, the first ones of all: "" = nothing went wrong.
std::string RunProgram(Program& program,
                       const std::function<std::string(muster_checkpoint*, ThreadGroup&)>& rank);

// The environment in which a worker starts ranks.
class ProgramEnvironment {
 public:
  explicit ProgramEnvironment(std::map<std::string, std::string> variables);
  ~ProgramEnvironment();
  void Set(const std::string& name, const std::string& value);

 private:
  std::map<std::string, std::string> variables_;
};

}  // namespace muster::rank
