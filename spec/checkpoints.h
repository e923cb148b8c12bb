// Whether Muster keeps a job's checkpoints.
#pragma once

#include "muster/v1/job.pb.h"

namespace muster::spec {

// The native trainer always; a program when its `checkpoint` says where.
inline bool KeepsCheckpoints(const v1::JobSpec& spec) {
  return spec.has_train() || !spec.checkpoint().path().empty();
}

}  // namespace muster::spec
