// The conformance suite over MPI; run it under mpirun -n 1..4. Rank 0 prints; exit code 0 = passed.
#include <cstdio>
#include <cstdlib>

#include "tests/unit/collective/conformance.h"
#include "trainer/collective/mpi/mpi_collective.h"

int main(int argc, char** argv) {
  using namespace muster::trainer::collective;
  auto world = OpenMpiWorld(argc > 1 ? std::atoi(argv[1]) : 0);
  if (!world.ok()) {
    std::fprintf(stderr, "%s\n", std::string(world.status().message()).c_str());
    std::_Exit(3);
  }
  int passed = 0;
  for (const Check& check : ConformanceChecks()) {
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
