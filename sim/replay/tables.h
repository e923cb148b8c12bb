// A table as text: the first column to the left, the others to the right.
#pragma once

#include <string>
#include <vector>

#include "muster/v1/job.pb.h"
#include "muster/v1/ledger.pb.h"

namespace muster::sim::replay {

class Table {
 public:
  void Head(const std::string& name) { head_.push_back(name); }
  void Line(const std::string& name) { lines_.push_back({name}); }
  void Cell(const std::string& text) { lines_.back().push_back(text); }
  std::string Text() const;

 private:
  std::vector<std::string> head_;
  std::vector<std::vector<std::string>> lines_;
};

std::string KindName(v1::LedgerKind kind);  // "checkpoint stall"
std::string RungName(v1::Rung rung);        // "replace"

}  // namespace muster::sim::replay
