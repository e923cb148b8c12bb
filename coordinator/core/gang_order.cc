#include "coordinator/core/gang_order.h"

#include "common/hostlist.h"
#include "coordinator/core/resize.h"
#include "muster/v1/worker_stream.pb.h"

namespace muster::coordinator::core {

const std::string& GangOrderOf(const Job& job, Attempt& attempt) {
  if (!attempt.gang_order.empty()) return attempt.gang_order;
  v1::GangOrder order;
  *order.mutable_spec() = job.spec;
  *order.mutable_spec()->mutable_mesh() = MeshOf(job, attempt);
  v1::NodeRun* run = nullptr;
  std::string next;  // the name that would continue the run
  for (const v1::NodeShare& share : attempt.facts.shares()) {
    if (run == nullptr || share.node() != next || share.ranks() != run->ranks()) {
      run = order.add_nodes();
      run->set_name(share.node());
      run->set_ranks(share.ranks());
    }
    run->set_nodes(run->nodes() + 1);
    next = NextName(share.node());
  }
  for (const v1::CheckpointRef& ref : job.checkpoints.refs()) {
    if (!ref.bad()) *order.add_resume() = ref;
  }
  order.set_slots_since(job.slots_since);
  order.set_array_id(job.array_id.value());
  order.set_array_index(job.array_index);
  order.set_stood_step(job.best_step);
  attempt.gang_order = order.SerializeAsString();
  return attempt.gang_order;
}

}  // namespace muster::coordinator::core
