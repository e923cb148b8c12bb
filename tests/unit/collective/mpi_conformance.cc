// The conformance suite over MPI; run it under mpirun -n 1..4. Rank 0 prints; exit code 0 = passed.
#include <cstdio>
#include <cstdlib>

#include "tests/unit/collective/conformance.h"
#include "trainer/collective/mpi/mpi_collective.h"

namespace {

using muster::trainer::collective::Collective;

// More than fits one message.
std::string AllToAllBytesSendsLongOnes(Collective& group) {
  constexpr size_t kBytes = (256ull << 20) + 4'097;
  std::vector<std::vector<std::byte>> to(static_cast<size_t>(group.size()));
  if (group.rank() == 0) {
    to.back().resize(kBytes);
    for (size_t i = 0; i < kBytes; i += 4'096)
      to.back()[i] = static_cast<std::byte>(i / 4'096 % 251);
  }
  const auto from = group.AllToAllBytes(to);
  if (!from.ok()) return std::string(from.status().message());
  const std::vector<std::byte>& long_one = from->front();
  if (group.rank() + 1 < group.size()) return long_one.empty() ? "" : "nothing was sent here";
  if (long_one.size() != kBytes) return "a wrong length";
  for (size_t i = 0; i < kBytes; i += 4'096) {
    if (long_one[i] != static_cast<std::byte>(i / 4'096 % 251)) return "a wrong byte";
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace muster::trainer::collective;
  auto world = OpenMpiWorld(argc > 1 ? std::atoi(argv[1]) : 0);
  if (!world.ok()) {
    std::fprintf(stderr, "%s\n", std::string(world.status().message()).c_str());
    std::_Exit(3);
  }
  int passed = 0;
  std::vector<Check> checks = ConformanceChecks();
  if ((*world)->size() == 2) {
    checks.push_back({"AllToAllBytesSendsLongOnes", AllToAllBytesSendsLongOnes});
  }
  for (const Check& check : checks) {
    const std::string wrong = check.run(**world);
    if (!wrong.empty()) {
      std::fprintf(stderr, "rank %d: %s: %s\n", (*world)->rank(), check.name, wrong.c_str());
      std::_Exit(1);
    }
    ++passed;
  }
  if ((*world)->rank() == 0)
    std::printf("mpi: %d checks passed on %d ranks\n", passed, (*world)->size());
  world->reset();
  return CloseMpiWorld().ok() ? 0 : 1;
}
