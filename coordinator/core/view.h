// The state as the scheduler sees it.
#pragma once

#include <deque>
#include <string>

#include "coordinator/core/state.h"
#include "coordinator/scheduler/pass.h"

namespace muster::coordinator::core {

// Points into the state, which must not change while it is used.
struct PassView {
  scheduler::View view;
  std::deque<std::string> texts;  // reasons of holds that the view points to
};

// The queued jobs that no person, dependency, pause or limit of an array holds; the nodes as they
// are; every live attempt. Cost: O(queued + active), no specs are copied.
PassView ViewOf(const ClusterState& state);

// The same, and what a forecast needs beside it: the queued jobs that wait for others (LaterJob).
PassView ForecastViewOf(const ClusterState& state);

// The array, if its limit counts.
JobId LimitedArray(const v1::JobSpec& spec, JobId array);

// Where the queue of that name is in View::queues; it exists: CHECK.
uint32_t QueueIndex(const scheduler::View& view, const std::string& name);

// Is the job left out of the view? holds.h says why.
bool IsHeld(const ClusterState& state, const Job& job);

}  // namespace muster::coordinator::core
