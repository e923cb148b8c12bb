// What keeps the ranks of this node from saving as they should, as they said last. It goes out with
// every report, so that whoever hears one knows all.
//
// Threads: none.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "muster/v1/worker_stream.pb.h"
#include "rank/link_frame.h"

namespace muster::worker::shim {

class SaveTroubles {
 public:
  // True when it changes what is told. One without text is over; kinds nobody knows are dropped.
  bool Take(uint32_t rank, const muster_frame_save_trouble& said, const std::string& text);
  void AddTo(v1::RankReport* report) const;

 private:
  std::map<uint32_t, std::map<uint32_t, v1::SaveTrouble>> troubles_;  // by rank, by kind
};

}  // namespace muster::worker::shim
