// The MPI backend. The only folder that sees mpi.h.
//
// MPI moves slices between ranks; this code adds them, in the fixed order, so the bits do not
// depend on the MPI library's choice of algorithm. MPI returns errors instead of aborting.
//
// Threads: one. MPI is opened with MPI_THREAD_FUNNELED; call from the thread that opened it.
// Errors:  a dead peer usually shows as a call that never returns. The worker ends such ranks.
#pragma once

#include <memory>

#include "trainer/collective/collective.h"

namespace muster::trainer::collective {

// Joins the MPI world; once per process. expected_size is what the launcher promised (0 = any): a
// different size means that the ranks did not find each other, and is kFailedPrecondition.
absl::StatusOr<std::unique_ptr<Collective>> OpenMpiWorld(int expected_size);

// Leaves MPI; collective over the world. Destroy all MPI collectives first. A process that ends
// because of an error must not call it: it would wait for ranks that never come.
absl::Status CloseMpiWorld();

}  // namespace muster::trainer::collective
