// The one place that knows what a job gets when it does not say.
#pragma once

#include "muster/v1/job.pb.h"

namespace muster::spec {

// What a job file starts from; every key in the file then overrides one value. Numbers that only
// the user can know (model shape, batch, lr, steps) stay 0, and ValidateJobSpec asks for them.
v1::JobSpec DefaultTrainJob();
v1::JobSpec DefaultProgramJob();

// Values that follow from others once the file is read: kv_heads = heads when not said; a copy on
// another node when nobody asked for parity.
void FillDerived(v1::JobSpec* spec);

// For specs that come over gRPC from other clients: fills the fields where 0 can only mean "not
// said" (rope_theta, betas, slots_per_rank, collective, ...). Fields where 0 or false is a choice
// (weight_decay, clip, keep, zero, seed) stay as they are. Idempotent.
void FillUnset(v1::JobSpec* spec);

}  // namespace muster::spec
