// What a picture of a replay is drawn from: what each row of nodes did in each slice of time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/agenda.h"

namespace muster::sim::replay {

enum class NodeUse : uint8_t { kSpare, kWorking, kQuarantined, kDown };
inline constexpr size_t kNodeUses = 4;

class Picture {
 public:
  Picture() = default;
  // `bins` of time over `span`; nodes are put together to at most `rows` rows.
  Picture(uint32_t nodes, Micros span, uint32_t bins, uint32_t rows);

  bool empty() const { return bins_ == 0; }
  // From now on. Time does not go back.
  void SetWorking(uint32_t node, bool working, Micros now);
  void SetQuarantined(uint32_t node, bool quarantined, Micros now);
  void SetDown(uint32_t node, bool down, Micros now);
  void Incident(Micros at, bool long_one);
  void Close(Micros now);

  uint32_t bins() const { return bins_; }
  uint32_t rows() const { return rows_; }
  uint32_t nodes() const { return static_cast<uint32_t>(now_.size()); }
  Micros span() const { return span_; }
  Micros bin() const { return bin_; }
  // Of the node time of this cell, 0 to 1.
  double Share(uint32_t row, uint32_t bin, NodeUse use) const;
  const std::vector<uint32_t>& incidents() const { return incidents_; }
  const std::vector<Micros>& long_ones() const { return long_ones_; }

 private:
  struct NodeNow {
    bool working = false, quarantined = false, down = false;
    Micros since = 0;
  };
  void Settle(uint32_t node, Micros now);
  uint32_t RowOf(uint32_t node) const { return node / per_row_; }

  Micros span_ = 0;
  Micros bin_ = 1;
  uint32_t bins_ = 0;
  uint32_t rows_ = 0;
  uint32_t per_row_ = 1;
  std::vector<NodeNow> now_;
  std::vector<std::array<Micros, kNodeUses>> cells_;  // row after row
  std::vector<uint32_t> incidents_;
  std::vector<Micros> long_ones_;
};

}  // namespace muster::sim::replay
