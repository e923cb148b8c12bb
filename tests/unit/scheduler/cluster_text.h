// Clusters, jobs and placements as one-line texts, for tests that can be read.
#pragma once

#include <string>
#include <vector>

#include "coordinator/scheduler/place.h"

namespace muster::coordinator::scheduler {

// A node a text: "n1 slots=8 rack=r1 pod=p1 nvlink=s1 used=0,1 kind=H100 label=zone:a taint=lab
// down=drained spare=7 lent". Slots in use are held by job 99. `exclusive_by=5`: held whole.
Inventory Cluster(const std::vector<std::string>& nodes);

// "data:2,tensor:4@node slots=2 device=H100 exclusive spread=data:rack:2 spares=1 share=0.5
// exclude=n[1-2] select=zone:a tolerate=lab not_preemptible".
v1::JobSpec Job(const std::string& text);

// A gang with all it points to.
struct AGang {
  explicit AGang(const std::string& text, JobId id = JobId(1));
  AGang(const AGang&) = delete;
  AGang& operator=(const AGang&) = delete;
  void WasOn(const std::vector<v1::NodeShare>& shares);

  v1::JobSpec spec;
  Shape shape;
  google::protobuf::RepeatedPtrField<v1::NodeShare> previous;
  Gang gang;
};

// "n1:0,1 n2:0": the nodes and slots by first rank; spares as "+n3". "-" = not placed.
std::string PlacedText(const std::optional<Placed>& placed, const Inventory& inventory);

}  // namespace muster::coordinator::scheduler
